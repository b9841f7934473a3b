"""One partition's driver: the protocol between a log, an engine and what is kept of it. No thread, no loop.

It decides nothing about detection: positions come from the log, time from the batches. Its own clock only spaces
snapshots, and any snapshot is right. Deliveries may jump, repeat and stay out: what is missing is read from the log
(docs/protocol.md#opening-a-partition, docs/protocol.md#reading-on). After any error but :class:`Transient` it must
not be used again: open a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from contracts.batch import PartlyReadBatch, decode_batch
from contracts.contradictions import Contradiction, OnContradiction
from contracts.errors import LogBroken, Rejected
from contracts.findings import Output
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.port import CheckpointStore
from streams.engine.engine import Engine
from streams.engine.manifest import PartitionManifest, decode_manifest
from streams.engine.rule_runner import StateUnreadable
from streams.engine.snapshot import RowTooLarge, SnapshotRow
from streams.log.port import LogReader, LogRecord
from streams.runtime.anchored_log import AnchoredLog, hash_of
from streams.runtime.decision_times import DecisionTimes
from streams.runtime.failure_place import failure_place
from streams.runtime.opening import RestorePoint, find_restore_point
from streams.runtime.snapshot_schedule import SNAPSHOT_EVERY_S, SnapshotSchedule
from streams.runtime.unread_events import UnreadEvents
from streams.runtime.upgrade import check_not_superseded, check_still_drained
from streams.runtime.waiting_rows import WaitingRows
from system.clock import wall_ms

READ_RECORDS = 256
MAX_ATTEMPTS = 3  # uncaught errors at one position stop the partition, loudly (docs/protocol.md#failures)


class PartitionStopped(LogBroken):
    """Feeding one position failed three times: a person retries it after an update, or gives it up."""


class DriverCounts(msgspec.Struct):
    """Counts since this driver was made; for metrics."""

    records: int = 0
    findings: int = 0
    repeats: int = 0
    filled: int = 0
    saved_bytes: int = 0


class Checkpoint(msgspec.Struct, frozen=True):
    """Rows and the manifest that lists them, taken from the engine and not kept yet."""

    rows: tuple[SnapshotRow, ...]
    manifest: bytes


class PartitionDriver:
    """Feeds one partition of a log to one engine. ``on_findings`` is called after new ones were handed to the
    checkpoint store, ``on_contradiction`` with each that its store knows under its id, but otherwise; without one
    ``on_alarm`` is told.
    """

    def __init__(
        self,
        log: LogReader,
        checkpoints: CheckpointStore,
        engine: Engine,
        *,
        on_findings: Callable[[], None] = lambda: None,
        on_alarm: Callable[[DriverAlarm, str], None] = lambda _alarm, _detail: None,
        on_contradiction: OnContradiction | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        accept_cut: bool = False,
        times: DecisionTimes | None = None,
        wall_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.counts = DriverCounts()
        self.unread = UnreadEvents()
        self._times, self._wall_ms = times or DecisionTimes(), wall_ms
        self._written_ms: dict[int, int] = {}  # of the records whose findings are not handed over yet
        self._live = False  # what is decided while opening was due before, in an earlier life
        self.watermark_ms = 0
        self.abandoned = False  # set by the owner that has lost the partition: whatever goes on here may end
        self._log = AnchoredLog(log, self._note_damage)
        self._checkpoints = checkpoints
        self._engine = engine
        self._on_findings = on_findings
        self.on_alarm = on_alarm
        checkpoints.on_contradiction = on_contradiction or self._say_contradiction
        self._schedule = SnapshotSchedule(monotonic_s)
        self._waiting = WaitingRows(monotonic_s)
        self._accept_cut = accept_cut
        self._decided: list[Output] = []
        self._last: LogRecord | None = None  # fed last; None: what ``_known_hash`` says
        self._known_hash = b""
        self._saved = 0
        self._failed: dict[int, int] = {}
        self._skipped: frozenset[int] = frozenset()

    @property
    def position(self) -> int:
        """The next position to feed."""
        return self._engine.next_position

    @property
    def engine(self) -> Engine:
        """The engine that is fed; to be looked at only."""
        return self._engine

    def sites_due(self, elapsed_s: float) -> int | None:
        """Return how many changed sites a turn after ``elapsed_s`` must save, so that each has its turn in time.

        None: it is too early for a turn. A turn that saves less than a site a time would save some far too often.
        """
        changed = len(self._engine.changed_sites())
        if elapsed_s >= SNAPSHOT_EVERY_S:
            return changed
        return int(changed * elapsed_s / SNAPSHOT_EVERY_S) or None

    def open(self) -> None:
        """Restore from the snapshots, taking over from the version before, and read the log to its end at this moment.

        Raises:
            LogBroken: snapshots of another log, of a newer schema, or with states that these rules cannot read.
            PartitionStopped: one position has failed three times.
            Superseded: a newer version of the rules has the partition.
            Permanent: the version before has not drained.
            Transient: the store cannot be written now.
        """
        self._failed, self._skipped = dict(self._checkpoints.failures()), self._checkpoints.skipped()
        self._log.skipped = self._skipped
        opening = find_restore_point(self._checkpoints, self._engine, accept_cut=self._accept_cut)
        try:
            start = self._engine.restore(opening.rows, opening.manifest)
        except StateUnreadable as error:
            raise error.at(self._checkpoints.place()) from None
        self._check_anchors(start)
        self._claim(opening, start)
        if start < self._log.begin():
            self._leave_gap()
        elif start:
            self._known_hash = self._log.hash_at(start - 1)
        self.catch_up()
        self._live = True

    def deliver(self, position: int, data: bytes, written_ms: int = 0) -> None:
        """Take a record from whoever delivers: a lower one is skipped, what was jumped over is read from the log.

        ``written_ms`` is when it was written (0: not known).

        Raises:
            LogBroken: the log ends before what was delivered; else as :meth:`step`.
        """
        if position > self.position:
            self._fill(position)
        if position < self.position:
            self.counts.repeats += 1
            return
        self._keep_decided()
        self._decided += self._feed(LogRecord(position, data, written_ms))
        self._keep_decided()

    def step(self, limit: int = READ_RECORDS) -> int:
        """Feed at most ``limit`` records and keep what they gave; how many records there were.

        Raises:
            Transient: the store cannot be written now; what was decided waits for the next call.
        """
        self._keep_decided()
        records = self._read(limit)
        for record in records:
            self._decided += self._feed(record)
        self._keep_decided()
        return len(records)

    def catch_up(self) -> int:
        """Read the log to its end at this moment, saving in between; how many records that were.

        Raises:
            LogBroken: the log ends before what was fed already; else as :meth:`step`.
        """
        end, fed = self._log.end(), 0
        self._log.check_end(end, self.position)
        while self.position < end and not self.abandoned:
            records = self.step(min(READ_RECORDS, end - self.position))
            if not records:
                break
            fed += records
            if self._schedule.since_s() >= SNAPSHOT_EVERY_S:
                self.save()
        return fed

    def save(self, most_sites: int = 64) -> None:
        """Keep rows of changed sites (oldest first), of some whose row is old, and the manifest.

        Raises:
            Transient: the store cannot be written now; what it holds still stands.
        """
        self._keep_decided()
        checkpoint = self.prepare(most_sites)
        if checkpoint is not None:
            self.check(checkpoint)
            self.commit(checkpoint)

    def drain(self) -> None:
        """Save every changed site and mark the partition as drained: another version may go on from here.

        Without the mark when a site's row is too large: the same version goes on from the row before, but another one
        would decide again, by other rules, what was decided after that. Nothing may be fed afterwards. Raises as
        :meth:`save`.
        """
        self._keep_decided()
        if self.position:
            rows = self._rows(self._engine.changed_sites())
            drained = not self._engine.changed_sites()
            checkpoint = Checkpoint(rows, self._engine.manifest(self._record_hash(), drained=drained))
            self.check(checkpoint)
            self.commit(checkpoint)

    def prepare(self, most_sites: int) -> Checkpoint | None:
        """Return the rows whose turn it is, from the engine: to be kept at any later time, also in another thread.

        None when nothing was fed since the last time; above all before anything was: a log that is still empty has no
        name yet that would last.
        """
        changed = self._waiting.due(self._engine.changed_sites())[:most_sites]
        rows = self._rows(self._schedule.take(changed, self._waiting.due(self._engine.site_ids())))
        if not rows and self.position == self._saved:
            return None
        self._saved = self.position
        return Checkpoint(rows, self._engine.manifest(self._record_hash()))

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise unless the partition is still this version's and the log still the same one.

        Raises:
            Superseded: another version of the rules has taken the partition over.
            LogBroken: the record last fed is no longer in the log.
            Transient: the log or the store does not answer now.
        """
        own = decode_manifest(checkpoint.manifest)
        self._check_owner(own)
        self._log.check_record(own.position, own.record_hash)

    def commit(self, checkpoint: Checkpoint) -> None:
        """Keep what :meth:`prepare` gave, after the findings that it covers are durable.

        Raises:
            Transient: the store cannot be written now.
        """
        self._checkpoints.flush()
        self._checkpoints.save(checkpoint.rows, checkpoint.manifest, self._engine.digest)
        self.counts.saved_bytes += sum(len(row.data) for row in checkpoint.rows)

    def _rows(self, site_ids: list[str]) -> tuple[SnapshotRow, ...]:
        """Return the rows of these sites; one that is too large waits, loudly, and its site stays changed."""
        record_hash, rows, refused = self._record_hash(), [], False
        for site_id in site_ids:
            try:
                rows.append(self._engine.snapshot(site_id, record_hash))
                self._waiting.made(site_id)
            except RowTooLarge as error:
                self._waiting.refused(site_id, str(error))
                refused = True
        if refused:
            self.on_alarm(DriverAlarm.SNAPSHOT_WAITS, self._waiting.why())
        return tuple(rows)

    def _record_hash(self) -> bytes:
        """Return the hash of the record fed last, empty when unknown; asked for by a row, not for each record."""
        return self._known_hash if self._last is None else hash_of(self._last)

    def _claim(self, opening: RestorePoint, start: int) -> None:
        """Make it known that this version decides from here on, before its first finding."""
        if opening.manifest is None or not opening.to_claim:
            return
        digest = self._engine.digest
        self._checkpoints.save(opening.rows if opening.source else [], opening.manifest, digest)
        try:
            self._check_owner(decode_manifest(opening.manifest))
            if opening.source and not opening.cut:
                before = self._checkpoints.manifests().get(opening.source)
                check_still_drained(None if before is None else decode_manifest(before))
        except Exception:  # whatever it was: it is raised again, and the claim must not outlive it
            if opening.source:
                self._checkpoints.forget(digest)  # nothing was decided under it
            raise
        if opening.cut and start < self._log.end():
            self.on_alarm(
                DriverAlarm.CUT_ACCEPTED,
                f"rules {opening.source} had not drained: positions {start} to {self._log.end() - 1} may be decided "
                f"twice, now by {digest}",
            )

    def _check_owner(self, own_manifest: PartitionManifest) -> None:
        check_not_superseded(map(decode_manifest, self._checkpoints.manifests().values()), own_manifest)

    def _fill(self, position: int) -> None:
        """Read exactly what lies before ``position``."""
        while self.position < position and not self.abandoned:
            records = self.step(min(READ_RECORDS, position - self.position))
            self.counts.filled += records
            if not records:
                self._log.check_end(self._log.end(), position)
                raise LogBroken(f"position {position} was delivered, but position {self.position} cannot be read")

    def _read(self, limit: int) -> list[LogRecord]:
        try:
            return self._log.read(self.position, limit)
        except LogBroken:
            if self.position >= self._log.begin():
                raise
            self._leave_gap()  # retention has overtaken us
            return self._log.read(self.position, limit)

    def _note_damage(self, position: int, detail: str) -> None:
        """Note it once, for ``linli streams skip``: a file that is restored meanwhile needs no retry."""
        if position not in self._checkpoints.failures():
            self._checkpoints.note_failure(position, detail)

    def _leave_gap(self) -> None:
        begin = self._log.begin()
        self.on_alarm(DriverAlarm.LOG_GAP, f"positions {self.position} to {begin - 1} are no longer in the log")
        self._engine.skip_to(begin)
        self._last, self._known_hash = None, b""

    def _keep_decided(self) -> None:
        if not self._decided:
            return
        new = self._checkpoints.append_findings(self._decided)
        if new and self._live:
            self._times.add(self._decided, self._written_ms, self._wall_ms())
        self._decided.clear()
        self._written_ms.clear()
        self.counts.findings += new
        if new:
            self._on_findings()

    def _say_contradiction(self, contradiction: Contradiction) -> None:
        self.on_alarm(DriverAlarm.FINDING_CONTRADICTS, contradiction.detail)

    def _check_anchors(self, start: int) -> None:
        """Raise unless every record that a snapshot rests on is still the same one."""
        self._log.check_end(self._log.end(), start)
        for anchor in self._engine.anchors:
            self._log.check_record(anchor.position, anchor.record_hash)

    def _feed(self, record: LogRecord) -> list[Output]:
        times = self._failed.get(record.position, 0)
        if times >= MAX_ATTEMPTS and record.position not in self._skipped:
            raise PartitionStopped(
                f"feeding position {record.position} failed {times} times; `linli streams failures` says how. After an "
                f"update `linli streams retry {record.position}`; `linli streams skip {record.position}` gives it up"
            )
        try:
            outputs = self._decode_and_feed(record)
        except LogBroken:
            raise
        except Exception as error:  # the boundary of the engine: noted beside the snapshots, then the process ends
            self._checkpoints.note_failure(record.position, failure_place(error))
            raise
        self._last = record
        self.counts.records += 1
        if outputs and record.at_ms:
            self._written_ms[record.position] = record.at_ms
        return outputs

    def _decode_and_feed(self, record: LogRecord) -> list[Output]:
        if record.position in self._skipped:
            return self._engine.unreadable(record.position, "skipped by hand")
        try:
            batch = decode_batch(record.data)
        except Rejected as error:
            return self._engine.unreadable(record.position, error.detail)
        if wrong := self._engine.misplaced(batch):  # a shard that is set up wrongly must not stop everybody's rules
            return self._engine.unreadable(record.position, wrong)
        if batch.__class__ is PartlyReadBatch:
            for sentence in self.unread.take(batch, record.position):
                self.on_alarm(DriverAlarm.EVENTS_UNREAD, sentence)
        outputs = self._engine.feed(batch, record.position)
        self.watermark_ms = batch.watermark_ms or self.watermark_ms
        return outputs
