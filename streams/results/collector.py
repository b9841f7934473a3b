"""The spool's way in: sources that are read by a cursor of their own, and never wait for whoever writes them.

A source gives a step (points, cursor, state) or None when there is nothing new. What all of them give in a round is
kept in one transaction of the spool; whatever fails, they are asked again from the cursors that the spool holds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from contracts.batch import decode_batch
from contracts.errors import LogBroken, Rejected, Transient
from contracts.findings import FindingsReader
from streams.log.port import LogReader, LogRecord
from streams.results.log_measures import LATE_MS, InventoryLookup, LogMeasures, quarter_key
from streams.results.points import Point, finding_point, loss_point
from streams.results.sender import OnAlarm, ResultsAlarm
from streams.results.spool import PointSpool, SourceBatch

LOG = structlog.get_logger("linli.results")
READ_RECORDS = 64  # few at a time: the embedded log lends its lock to a reader
READ_FINDINGS = 500
ROUND_S = 2.0
"""From one round to the next: a round costs much the same for one record or many, and nobody waits for results."""
FORGET_EVERY_S = 3_600.0


class PointSource(Protocol):
    """Something that is followed."""

    @property
    def name(self) -> str:
        """Its name in the spool."""
        ...

    def step(self, spool: PointSpool) -> SourceBatch | None:
        """Return what comes after the spool's cursor; None when nothing does.

        Raises:
            Transient: it cannot be read now.
        """
        ...


class FindingsSource:
    """Findings as points.

    Args:
        begin: the number before the first that is still held, where retention takes some.
        clock_ms: dates what is lost.
    """

    def __init__(
        self,
        reader: FindingsReader,
        clock_ms: Callable[[], int],
        on_alarm: OnAlarm,
        *,
        partition: int = 0,
        begin: Callable[[], int] = lambda: 0,
    ) -> None:
        self.name = f"findings/{partition}"
        self._reader = reader
        self._clock_ms = clock_ms
        self._on_alarm = on_alarm
        self._begin = begin
        self._identity = ""

    def step(self, spool: PointSpool) -> SourceBatch | None:
        """See :class:`PointSource`."""
        self._identity = self._identity or self._reader.identity()
        after = spool.cursor(self.name, self._identity) or 0
        try:
            rows = self._reader.findings_after(after, READ_FINDINGS)
        except LogBroken:
            begin = self._begin()
            if after >= begin:
                raise
            loss = lost(self.name, self._identity, after, begin, self._clock_ms(), self._on_alarm)
            return SourceBatch(self.name, self._identity, begin, [loss], more=True)
        if not rows:
            return None
        points = [finding_point(finding) for _, finding in rows]
        return SourceBatch(self.name, self._identity, rows[-1][0], points, more=len(rows) == READ_FINDINGS)


class LogSource:
    """One partition of the log as measurements.

    Args:
        since_ms: where a source that was never read begins: at the first record not older; 0 takes everything held.
        clock_ms: dates what is lost.
        limit: records a step.
    """

    def __init__(
        self,
        reader: LogReader,
        book: InventoryLookup,
        clock_ms: Callable[[], int],
        on_alarm: OnAlarm,
        *,
        partition: int = 0,
        since_ms: int = 0,
        limit: int = READ_RECORDS,
    ) -> None:
        self.name = f"log/{partition}"
        self._reader = reader
        self._book = book
        self._clock_ms = clock_ms
        self._on_alarm = on_alarm
        self._since_ms = since_ms
        self._limit = limit
        self._identity = ""
        self._measures: LogMeasures | None = None
        self._at = -1

    def step(self, spool: PointSpool) -> SourceBatch | None:
        """See :class:`PointSource`."""
        self._identity = self._identity or self._reader.identity()
        kept = spool.cursor(self.name, self._identity)
        position = first_position(self._reader, self._since_ms) if kept is None else kept
        if self._measures is None or self._at != position:  # at the start, or the last step was not kept
            self._measures = LogMeasures(f"{self.name}/{self._identity}", self._book, spool.state)
        try:
            records = self._reader.read(position, self._limit)
        except LogBroken:
            begin = self._reader.begin()
            if position >= begin:
                raise
            self._measures = None
            loss = lost(self.name, self._identity, position, begin, self._clock_ms(), self._on_alarm)
            return SourceBatch(self.name, self._identity, begin, [loss], more=True)
        if not records and kept is not None:
            return None
        points = self._fold(self._measures, records)
        self._at = position + len(records)
        rows, more = self._measures.rows(), len(records) == self._limit
        return SourceBatch(self.name, self._identity, self._at, points, rows, more=more)

    def _fold(self, measures: LogMeasures, records: Sequence[LogRecord]) -> list[Point]:
        points = []
        for record in records:
            try:
                points += measures.feed(decode_batch(record.data), record.at_ms or None)
            except Rejected as error:  # the engine tells people; here it only has no numbers
                LOG.warning("record_unreadable", position=record.position, why=str(error))
        return points


class PointCollector:
    """Follows the sources into the spool.

    Args:
        rest: how long to pause after each round, in lengths of that round, even where there is more: sharing a
            processor with ingest and rules, catching up must be the slowest.
    """

    def __init__(
        self,
        spool: PointSpool,
        sources: Sequence[PointSource],
        clock_ms: Callable[[], int],
        on_alarm: OnAlarm,
        *,
        rest: float = 0.0,
    ) -> None:
        self._spool = spool
        self._sources = tuple(sources)
        self._clock_ms = clock_ms
        self._on_alarm = on_alarm
        self._rest = rest

    def step(self) -> bool:
        """Ask every source once and keep what they give; whether one of them has more.

        One that cannot be read now holds up no other.
        """
        steps = [step for source in self._sources if (step := self._ask(source)) is not None]
        return bool(steps) and self._keep(steps) and any(step.more for step in steps)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``; then take what is there already."""
        forget_s = time.monotonic()
        while not stop.is_set():
            began_s = time.monotonic()
            more = self.step()
            if time.monotonic() >= forget_s:
                self._forget()
                forget_s = time.monotonic() + FORGET_EVERY_S
            rest_s = self._rest * (time.monotonic() - began_s)
            stop.wait(rest_s if more else max(rest_s, ROUND_S))
        end_s = time.monotonic() + ROUND_S
        while self.step() and time.monotonic() < end_s:
            pass

    def _ask(self, source: PointSource) -> SourceBatch | None:
        """Return a step of a source; a source that contradicts itself is said, and does not hold up the others."""
        try:
            return source.step(self._spool)
        except Transient as error:
            LOG.warning("results_not_read", source=source.name, why=str(error))
        except LogBroken as error:
            LOG.error("results_not_read", source=source.name, why=str(error))
            self._on_alarm(ResultsAlarm.DROPPED, f"{source.name}: {error}")
        return None

    def _keep(self, steps: Sequence[SourceBatch]) -> bool:
        """Return whether the spool has them now."""
        try:
            dropped = self._spool.append(steps, self._clock_ms())
        except Transient as error:
            LOG.warning("results_not_kept", why=str(error))
            return False
        if dropped:
            LOG.error("results_dropped", points=dropped)
            self._on_alarm(ResultsAlarm.DROPPED, f"{dropped} of the oldest points: the spool is at its quota")
        return True

    def _forget(self) -> None:
        now_ms = self._clock_ms()
        try:
            self._spool.forget_before(now_ms, quarter_key(now_ms - 2 * LATE_MS, ""))
        except Transient as error:
            LOG.warning("results_not_forgotten", why=str(error))


def lost(source: str, identity: str, after: int, begin: int, now_ms: int, on_alarm: OnAlarm) -> Point:
    """Say loudly that a source no longer holds what was not read yet; the point that says so for good."""
    detail = f"{source}: {begin - after} from {after} on were gone before they were read, and are in no result"
    LOG.error("results_gap", detail=detail)
    on_alarm(ResultsAlarm.DROPPED, detail)
    return loss_point(source.partition("/")[0], begin - after, now_ms, f"{source}/{identity}/{after}")


def first_position(reader: LogReader, since_ms: int) -> int:
    """Return the first position whose record's time is not before ``since_ms``, by halving; the end when none is."""
    low, high = reader.begin(), reader.end()
    if not since_ms:
        return low
    while low < high:
        middle = (low + high) // 2
        records = reader.read(middle, 1)
        if not records or _time_of(records[0]) >= since_ms:
            high = middle
        else:
            low = middle + 1
    return low


def _time_of(record: LogRecord) -> int:
    try:
        batch = decode_batch(record.data)
    except Rejected:
        return 0
    return max(batch.watermark_ms, *(event.received_ms for event in batch.events), 0)
