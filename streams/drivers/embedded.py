"""The embedded driver: one thread that feeds the day log to the engine and keeps its findings and snapshots.

It decides nothing about detection: positions come from the log, time from the batches. Its own clock only spaces
snapshots, and any snapshot is right (LOG §7).
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from contracts.batch import decode_batch
from contracts.errors import LogBroken, Rejected, Transient
from contracts.findings import Output
from streams.engine import Engine
from streams.engine_store import EngineStore
from streams.log import LogReader, LogRecord

SNAPSHOT_EVERY_S = 10.0  # LOG §7: each changed site every 5-30 s
REFRESH_S = 1800.0  # LOG §7: every site at least hourly: a row is old after half of it, its turn comes within the rest
RETRY_S = 5.0
READ_RECORDS = 256
MAX_ATTEMPTS = 3  # LOG §7: three uncaught errors at one position stop the partition, loudly


class DriverAlarm(enum.StrEnum):
    """What people must hear of, though the driver goes on."""

    LOG_GAP = "log_gap"  # records that were never judged are gone from the log
    STORE_BLOCKED = "store_blocked"  # findings wait, since engine.db cannot be written


class EmbeddedDriver:
    """Feeds one log to one engine. ``on_findings`` is called after new findings are durable."""

    def __init__(
        self,
        log: LogReader,
        store: EngineStore,
        engine: Engine,
        *,
        on_findings: Callable[[], None] = lambda: None,
        on_alarm: Callable[[DriverAlarm, str], None] = lambda _alarm, _detail: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._store = store
        self._engine = engine
        self._on_findings = on_findings
        self._on_alarm = on_alarm
        self._monotonic_s = monotonic_s
        self._saved_s = monotonic_s()
        self._kept_s: dict[str, float] = {}
        self._decided: list[Output] = []
        self._more = threading.Event()
        self._record_hash = b""
        self._failed: dict[int, int] = {}
        self._skipped: frozenset[int] = frozenset()

    @property
    def position(self) -> int:
        """The next position to feed."""
        return self._engine.next_position

    def open(self) -> None:
        """Restore from the snapshots and read the log to its end at this moment.

        Raises:
            LogBroken: snapshots of another log, or one position has failed three times.
            Transient: the store cannot be written now.
        """
        self._failed, self._skipped = self._store.failures(), self._store.skipped()
        rows, manifest = self._store.load(self._engine.digest)
        start = self._engine.restore(rows, manifest)
        self._check_anchors()
        if start < self._log.begin():
            self._on_alarm(
                DriverAlarm.LOG_GAP, f"positions {start} to {self._log.begin() - 1} are no longer in the log"
            )
            self._engine.skip_to(self._log.begin())
        elif start:
            self._record_hash = self._hash_at(start - 1)
        while self.step():
            pass

    def step(self, limit: int = READ_RECORDS) -> int:
        """Feed at most ``limit`` records and keep what they gave; how many records there were.

        Raises:
            Transient: the store cannot be written now; what was decided waits for the next call.
        """
        self._keep_decided()
        records = self._log.read(self.position, limit)
        for record in records:
            self._decided += self._feed(record)
        self._keep_decided()
        return len(records)

    def save(self, most_sites: int = 64) -> None:
        """Keep rows of changed sites (oldest first), of some whose row is old, and the manifest.

        Raises:
            Transient: the store cannot be written now; what it holds still stands.
        """
        self._keep_decided()  # a row may only cover findings that are durable
        if not self.position:
            return  # nothing was read: a log that is still empty has no name yet that would last
        now_s = self._monotonic_s()
        changed = self._engine.changed_sites()
        turn_s = max(now_s - self._saved_s, SNAPSHOT_EVERY_S)
        old = old_rows(self._engine.site_ids(), self._kept_s, now_s=now_s, turn_s=turn_s)
        sites = list(dict.fromkeys([*changed[:most_sites], *old]))
        rows = [self._engine.snapshot(site_id, self._record_hash) for site_id in sites]
        self._store.save(rows, self._engine.manifest(self._record_hash), self._engine.digest)
        self._saved_s = now_s
        self._kept_s |= dict.fromkeys(sites, now_s)

    def wake(self) -> None:
        """Tell the driver that the log has grown; callable from any thread."""
        self._more.set()

    def run(self, stop: threading.Event) -> None:
        """Feed until ``stop`` is set; then save every changed site, so that the next start reads little."""
        while not stop.is_set():
            self._more.clear()
            try:
                fed = self._turn()
            except Transient as error:
                self._on_alarm(DriverAlarm.STORE_BLOCKED, str(error))
                stop.wait(error.retry_after_s or RETRY_S)
                continue
            if not fed:
                self._more.wait(0.05)
        while self.step():
            pass
        self.save(most_sites=1_000_000)

    def _turn(self) -> int:
        fed = self.step()
        if self._monotonic_s() - self._saved_s >= SNAPSHOT_EVERY_S:
            self.save()
        return fed

    def _keep_decided(self) -> None:
        new = self._store.append_findings(self._decided)
        self._decided.clear()
        if new:
            self._on_findings()

    def _check_anchors(self) -> None:
        """Every record that a snapshot rests on must still be the same one."""
        for anchor in self._engine.anchors:
            if anchor.position < self._log.begin():
                continue
            if self._hash_at(anchor.position) != anchor.record_hash:
                raise LogBroken(
                    f"log_replaced: position {anchor.position} is not the record that snapshots rest on. Bring the "
                    "log's day files back, or move engine.db away to judge this log from its start"
                )

    def _hash_at(self, position: int) -> bytes:
        """The hash of the record there, empty when there is none."""
        records = self._log.read(position, 1)
        return hash_of(records[0]) if records else b""

    def _feed(self, record: LogRecord) -> list[Output]:
        times = self._failed.get(record.position, 0)
        if times >= MAX_ATTEMPTS and record.position not in self._skipped:
            raise LogBroken(
                f"feeding position {record.position} failed {times} times; `linli streams failures` says how. After an "
                f"update `linli streams retry {record.position}`; `linli streams skip {record.position}` gives it up"
            )
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
        if record.position in self._skipped:
            return self._engine.unreadable(record.position, "skipped by hand")
        try:
            batch = decode_batch(record.data)
        except Rejected as error:
            return self._engine.unreadable(record.position, error.detail)
        return self._engine.feed(batch, record.position)


def old_rows(site_ids: Sequence[str], kept_s: Mapping[str, float], *, now_s: float, turn_s: float) -> list[str]:
    """Sites whose row is due although nothing changed: else a quiet site's row falls behind the log's retention.

    Args:
        site_ids: the ones with the oldest rows first.
        kept_s: when this process kept each one's row; what an earlier process kept counts as old.
        now_s: on the same clock.
        turn_s: since the last turn. So many are taken that all sites have had theirs within half an hour.

    >>> old_rows(["a", "b", "c"], {"b": 0.0, "c": 900.0}, now_s=1800.0, turn_s=900.0)
    ['a', 'b']
    >>> old_rows(["a", "b", "c"], {}, now_s=10.0, turn_s=10.0)
    ['a']
    """
    most = math.ceil(len(site_ids) * min(turn_s / REFRESH_S, 1.0))
    old = (site_id for site_id in site_ids if now_s - kept_s.get(site_id, -math.inf) >= REFRESH_S)
    return list(itertools.islice(old, most))


def hash_of(record: LogRecord) -> bytes:
    """What tells a record from another one at the same position."""
    return hashlib.blake2b(record.data, digest_size=16).digest()
