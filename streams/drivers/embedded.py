"""The embedded driver: one thread that feeds the day log to the engine and keeps its findings and snapshots.

It decides nothing about detection: positions come from the log, time from the batches. Its own clock only spaces
snapshots, and any snapshot is right (LOG §7).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from contracts.batch import decode_batch
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
        on_alarm: Callable[[str], None] = lambda _message: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._store = store
        self._engine = engine
        self._on_findings = on_findings
        self._on_alarm = on_alarm
        self._monotonic_s = monotonic_s
        self._saved_s = monotonic_s()
        self._more = threading.Event()
        self._record_hash = b""
        self._failed: dict[int, int] = {}

    @property
    def position(self) -> int:
        """The next position to feed."""
        return self._engine.next_position

    def open(self) -> None:
        """Restore from the snapshots and read the log to its end at this moment.

        Raises:
            LogBroken: snapshots of another log, or one position has failed three times.
        """
        self._failed = self._store.failures()
        rows, manifest = self._store.load(self._engine.digest)
        start = self._engine.restore(rows, manifest)
        self._check_anchors()
        if start < self._log.begin():
            self._on_alarm(f"log_gap: positions {start} to {self._log.begin() - 1} are no longer in the log")
            self._engine.skip_to(self._log.begin())
        while self.step():
            pass

    def step(self, limit: int = READ_RECORDS) -> int:
        """Feed at most ``limit`` records and keep what they gave; how many records there were."""
        records = self._log.read(self.position, limit)
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
        rows = [self._engine.snapshot(site_id, self._record_hash) for site_id in sites]
        self._store.save(rows, self._engine.manifest(self._record_hash), self._engine.digest)
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

    def _check_anchors(self) -> None:
        """Every record that a snapshot rests on must still be the same one."""
        for anchor in self._engine.anchors:
            if anchor.position < self._log.begin():
                continue
            records = self._log.read(anchor.position, 1)
            if not records or hash_of(records[0]) != anchor.record_hash:
                raise LogBroken(
                    f"log_replaced: position {anchor.position} is not the record that snapshots rest on. Bring the "
                    "log's day files back, or move engine.db away to judge this log from its start"
                )

    def _feed(self, record: LogRecord) -> list[Output]:
        times = self._failed.get(record.position, 0)
        if times >= MAX_ATTEMPTS:
            raise LogBroken(f"feeding position {record.position} failed {times} times; engine.db says how (failures)")
        try:
            outputs = self._decode_and_feed(record)
        except LogBroken:
            raise
        except Exception as error:  # the border of the engine: noted beside the snapshots, then the process ends
            self._store.note_failure(record.position, repr(error))
            raise
        self._record_hash = hash_of(record)
        return outputs

    def _decode_and_feed(self, record: LogRecord) -> list[Output]:
        try:
            batch = decode_batch(record.data)
        except Rejected as error:
            return self._engine.unreadable(record.position, error.detail)
        return self._engine.feed(batch, record.position)


def hash_of(record: LogRecord) -> bytes:
    """What tells a record from another one at the same position."""
    return hashlib.blake2b(record.data, digest_size=16).digest()
