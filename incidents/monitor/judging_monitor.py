"""The judging monitor: keeps the one alarm that nothing is judged, as whoever watches the rules says it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from incidents.store.operator_alarms import Alarm, AlarmCode, RaisedAlarm, clear_alarms, raise_alarms, standing_alarms
from incidents.store.store import Store
from system.clock import Clock, wall_ms

COUNTED_AFTER_MS = 60_000
EVERY_S = 2.0
LOOK_AGAIN_MS = 30_000
"""While all is judged what is stored is looked at so seldom: another process may have told of it before this one."""


class JudgingMonitor:
    """Writes what ``watched`` says; writes nothing while that stays as it is.

    Args:
        watched: the alarm that stands now, None while all is judged.
    """

    def __init__(self, store: Store, watched: Callable[[], Alarm | None], *, clock_ms: Clock = wall_ms) -> None:
        self._store, self._watched, self._clock_ms = store, watched, clock_ms
        self._clear_ms: int | None = None  # when nothing stood, by the store

    def step(self) -> None:
        """Compare once.

        Raises:
            Transient: the database is away.
        """
        alarm, now_ms = self._watched(), self._clock_ms()
        if alarm is None and self._clear_ms is not None and 0 <= now_ms - self._clear_ms < LOOK_AGAIN_MS:
            return
        with self._store.read() as connection:
            standing = [one for one in standing_alarms(connection) if one.code is AlarmCode.NOTHING_JUDGED]
        ended = [(one.code, one.subject) for one in standing if alarm is None or one.subject != alarm.subject]
        self._clear_ms = now_ms if alarm is None and not ended else None
        if self._clear_ms is not None:
            return
        with self._store.write() as connection:
            clear_alarms(connection, ended, now_ms)
            if alarm is not None:
                raised = RaisedAlarm(alarm.code, alarm.subject, alarm.detail)
                raise_alarms(connection, [raised], now_ms, counted_after_ms=COUNTED_AFTER_MS)

    def run(self, stop: threading.Event, *, mine: Callable[[], bool] = lambda: True) -> None:
        """Compare until ``stop``, while ``mine`` says that this process is the one that does."""
        while not stop.wait(EVERY_S):
            if mine():
                self.step()
