"""The alarm that nothing is judged: told at once, over at once, and the store is left alone while all is well."""

from __future__ import annotations

from pathlib import Path

import pytest

from incidents.monitor.judging_monitor import LOOK_AGAIN_MS, JudgingMonitor
from incidents.store.operator_alarms import Alarm, AlarmCode, RaisedAlarm, raise_alarms, standing_alarms
from incidents.store.store import Store
from tests.support.stores import make_store

NOW_MS = 1_790_000_000_000


class _Watched:
    """A monitor, its clock, and what it watches."""

    def __init__(self, store: Store) -> None:
        self.store, self.now_ms, self.alarm = store, NOW_MS, None
        self.monitor = JudgingMonitor(store, lambda: self.alarm, clock_ms=lambda: self.now_ms)

    alarm: Alarm | None

    def stands(self, after_ms: int) -> bool:
        """Whether the alarm stands after a look so much later."""
        self.now_ms += after_ms
        self.monitor.step()
        with self.store.read() as connection:
            return any(one.code is AlarmCode.NOTHING_JUDGED for one in standing_alarms(connection))


@pytest.fixture
def watched(tmp_path: Path) -> _Watched:
    return _Watched(make_store(tmp_path))


def _alarm() -> Alarm:
    return Alarm(AlarmCode.NOTHING_JUDGED, "rules", "nothing comes from ingest", NOW_MS, NOW_MS, 1)


def test_it_is_told_and_over_at_the_next_look_however_long_all_was_well(watched: _Watched) -> None:
    assert not watched.stands(0)
    assert not watched.stands(2_000)
    for _ in range(2):
        watched.alarm = _alarm()
        assert watched.stands(2_000)
        watched.alarm = None
        assert not watched.stands(2_000)


@pytest.mark.parametrize("clock_ms", [LOOK_AGAIN_MS, -1_000])
def test_what_another_process_told_is_over_within_half_a_minute(watched: _Watched, clock_ms: int) -> None:
    assert not watched.stands(0)
    with watched.store.write() as connection:
        raise_alarms(connection, [RaisedAlarm(AlarmCode.NOTHING_JUDGED, "rules", "left by another")], watched.now_ms)
    assert watched.stands(LOOK_AGAIN_MS - 1)
    assert not watched.stands(1 if clock_ms > 0 else -LOOK_AGAIN_MS)


def test_the_store_is_not_asked_while_all_is_well(watched: _Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.monitor.step()
    monkeypatch.setattr(watched.store, "read", lambda: pytest.fail("the store was asked"))
    watched.now_ms += LOOK_AGAIN_MS - 1
    watched.monitor.step()
