"""The spool's way out: the oldest points to the store, in order, again and again until it has them."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Sequence

import msgspec
import structlog

from contracts.errors import Transient
from streams.results.points import Point
from streams.results.spool import PointSpool
from streams.results.target import PointStore, StoreMisconfigured, write_isolating

LOG = structlog.get_logger("linli.results")
BATCH_POINTS = 5_000
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
MISCONFIGURED_WAIT_S = 30.0
IDLE_S = 1.0


class ResultsAlarm(enum.StrEnum):
    """The troubles of the results; each has an end but for what was lost."""

    MISCONFIGURED = "misconfigured"  # the store takes nothing from us
    AWAY = "away"  # it does not answer, or asks for time
    REJECTED = "rejected"  # it refused points for good
    DROPPED = "dropped"  # the quota, or a source's retention, took something unwritten


OnAlarm = Callable[[ResultsAlarm, str], None]
"""(alarm, detail); an empty detail ends it."""


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait after so many failures in a row. Pure."""

    failures: int = 0

    def wait_s(self, error: Transient) -> float:
        """Return the store's own wish if it has one (≤ 1 h), else 1, 2, 4 … 60 s; 30 s for what waits for a person."""
        if error.retry_after_s is not None:
            return min(max(error.retry_after_s, 0.05), 3_600.0)
        if isinstance(error, StoreMisconfigured):
            return MISCONFIGURED_WAIT_S
        return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self.failures, 10)))


class ResultsSender:
    """Writes what the spool holds. One a spool."""

    def __init__(self, spool: PointSpool, target: PointStore, clock_ms: Callable[[], int], on_alarm: OnAlarm) -> None:
        self._spool = spool
        self._target = target
        self._clock_ms = clock_ms
        self._on_alarm = on_alarm
        self._standing: ResultsAlarm | None = None

    def step(self) -> int:
        """Write the oldest points, at most 5,000; how many were taken off the spool.

        Raises:
            Transient: the store does not take them now.
        """
        chunks = self._spool.oldest(BATCH_POINTS)
        if not chunks:
            return 0
        bad = write_isolating(self._target, newest_of([p for chunk in chunks for p in chunk.points]))
        self._spool.done(chunks, bad, self._clock_ms())
        self._clear()
        if bad:
            LOG.error("points_rejected", points=len(bad), reason=bad[0].reason)
            self._on_alarm(ResultsAlarm.REJECTED, f"{len(bad)}: {bad[0].reason}")
        return sum(len(chunk.points) for chunk in chunks)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``; then send what is there, if the store took what came before."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                if not self.step():
                    stop.wait(IDLE_S)
                backoff = Backoff()
            except Transient as error:
                wait_s = backoff.wait_s(error)
                self._tell(error, wait_s)
                backoff = Backoff(backoff.failures + 1)
                stop.wait(wait_s)
        if self._standing is None:
            self._drain()

    def _drain(self) -> None:
        try:
            while self.step():
                pass
        except Transient as error:
            LOG.info("results_stay_in_spool", why=str(error))

    def _tell(self, error: Transient, wait_s: float) -> None:
        LOG.warning("results_not_written", why=str(error), again_in_s=wait_s)
        alarm = ResultsAlarm.MISCONFIGURED if isinstance(error, StoreMisconfigured) else ResultsAlarm.AWAY
        if self._standing is not alarm:
            self._clear()
        self._standing = alarm
        self._on_alarm(alarm, str(error))

    def _clear(self) -> None:
        if self._standing is not None:
            self._on_alarm(self._standing, "")
            self._standing = None


def newest_of(points: Sequence[Point]) -> list[Point]:
    """Return, of points with one series and time, the last: in one write, stores do not promise which of two stays."""
    found: dict[object, Point] = {}
    for point in points:
        found[point.measurement, point.tags, point.at_ns] = point
    return list(found.values())
