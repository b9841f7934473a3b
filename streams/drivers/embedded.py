"""The embedded driver: one thread that feeds the day log to the engine and keeps its findings and snapshots.

It decides nothing about detection: positions come from the log, time from the batches. Its own clock only spaces snapshots,
and any snapshot is right (LOG §7).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from contracts.batch import Batch, decode_batch
from contracts.errors import LogBroken, Rejected
from contracts.findings import Output
from streams.engine import Engine
from streams.engine_store import EngineStore
from streams.log import LogReader, LogRecord

SNAPSHOT_EVERY_S = 10.0  # LOG §7: each changed site every 5-30 s
READ_RECORDS = 256
MAX_ATTEMPTS = 3  # LOG §7: three uncaught errors at one position stop the partition, loudly


class EmbeddedDriver:
    """Feeds one log to one engine. ``on_findings`` is called after new findings are durable."""

    def __init__(
        self,
        log: LogReader,
        store: EngineStore,
        engine: Engine,
        *,
        on_findings: Callable[[], None] = lambda: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._store = store
        self._engine = engine
        self._on_findings = on_findings
        self._monotonic_s = monotonic_s
        self._next = 0
        self._saved_s = monotonic_s()
        self._more = threading.Event()
        self._digest = b""
        self.fed_events = 0

    @property
    def position(self) -> int:
        """The next position to feed."""
        return self._next

    def open(self) -> None:
        """Restore from the snapshots and read the log to its end at this moment.

        Raises:
            LogBroken: snapshots of another log, or the log no longer holds what follows them.
        """
        rows, manifest = self._store.load(self._engine.digest)
        self._next = self._engine.restore(rows, manifest)
        self._check_log(manifest)
        while self.step():
            pass

    def step(self, limit: int = READ_RECORDS) -> int:
        """Feed at most ``limit`` records and keep what they gave; how many records there were."""
        records = self._log.read(self._next, limit)
        if not records:
            return 0
        outputs: list[Output] = []
        for record in records:
            outputs += self._feed(record)
        if self._store.append_findings(outputs):
            self._on_findings()
        return len(records)

    def save(self, most_sites: int = 64) -> None:
        """Keep rows of changed sites (oldest first) and the manifest; the findings they cover are durable by now."""
        sites = self._engine.changed_sites()[:most_sites]
        rows = [self._engine.snapshot(site_id) for site_id in sites]
        self._store.save(rows, self._engine.manifest(self._digest), self._engine.digest)
        self._saved_s = self._monotonic_s()

    def wake(self) -> None:
        """Tell the driver that the log has grown; callable from any thread."""
        self._more.set()

    def run(self, stop: threading.Event) -> None:
        """Feed until ``stop`` is set; then save every changed site, so that the next start reads little."""
        while not stop.is_set():
            self._more.clear()
            fed = self.step()
            if self._monotonic_s() - self._saved_s >= SNAPSHOT_EVERY_S:
                self.save()
            if not fed:
                self._more.wait(0.05)
        while self.step():
            pass
        self.save(most_sites=1_000_000)

    def _check_log(self, manifest: bytes | None) -> None:
        if manifest is not None and self._next > self._log.end():
            raise LogBroken(
                f"snapshots reach position {self._next - 1}, but the log ends at {self._log.end() - 1}: it was replaced "
                "or cut. Restore the log's day files, or move engine.db away to judge the log again from its start"
            )

    def _feed(self, record: LogRecord) -> list[Output]:
        times, detail = self._store.failures(record.position) if self._fresh else (0, "")
        if times >= MAX_ATTEMPTS:
            raise LogBroken(f"feeding position {record.position} failed {times} times ({detail}); see the runbook")
        try:
            outputs = self._decode_and_feed(record)
        except LogBroken:
            raise
        except Exception as error:  # the border of the engine: counted with the snapshots, then the process ends
            self._store.note_failure(record.position, repr(error))
            raise
        self._digest = hashlib.blake2b(record.data, digest_size=16).digest()
        self._next = record.position + 1
        return outputs

    def _decode_and_feed(self, record: LogRecord) -> list[Output]:
        try:
            batch: Batch = decode_batch(record.data)
        except Rejected as error:
            return self._engine.unreadable(record.position, error.detail)
        self.fed_events += len(batch.events)
        return self._engine.feed(batch, record.position)
