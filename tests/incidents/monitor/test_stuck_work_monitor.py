"""Work on which nothing is planned any more is found from outside, reported, and cleared when it has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import Transient
from contracts.findings import Phase
from contracts.incidents import AlertAction
from delivery.recording_receiver import RecordingReceiver
from incidents.alerts.actions import Command
from incidents.monitor.stuck_work_monitor import PASSING, PASSING_MS, REPEATED_MS, StuckWorkMonitor
from incidents.store.operator_alarms import AlarmCode, raise_alarm, standing_alarms
from tests.delivery.post import Post
from tests.incidents.builders import T0, make_finding

pytestmark = pytest.mark.usefixtures("on_both")


def test_the_stuck_work_monitor_finds_what_has_no_next_step_and_clears_what_ended(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    auditor = StuckWorkMonitor(post.store, ["hook", "police"], clock_ms=post.clock)
    (incident_id,) = post.take(make_finding(rule="smoke_or_heat"))
    post.take(make_finding(nth=3, phase=Phase.UPDATE, key="gap"))
    post.clock.advance(61_000)
    codes = sorted(item.code.value for item in auditor.step())
    assert codes == ["delivery_overdue", "finding_waits", "incident_unseen", "incident_untold"]
    assert sorted(post.alarms()) == codes
    post.drain()
    post.actions.act("wang", Command(incident_id=incident_id, action=AlertAction.SEE, version=1))
    assert [item.code.value for item in auditor.step()] == ["finding_waits"]
    assert post.alarms() == ["finding_waits"]
    assert [(kind, state) for kind, state, _ in post.states()] == [("opened", "delivered"), ("opened", "pending")]


def test_what_happened_once_is_cleared_a_week_later_and_what_lasts_is_not(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    auditor = StuckWorkMonitor(post.store, [], clock_ms=post.clock)
    with post.store.write() as connection:
        for code in PASSING:
            raise_alarm(connection, code, "it", "detail", T0)
        raise_alarm(connection, AlarmCode.RECEIVER_FAILING, "hook", "status 500", T0)
    post.clock.advance(PASSING_MS)
    auditor.step()
    with post.store.write() as connection:
        assert {alarm.code for alarm in standing_alarms(connection)} == {*PASSING, AlarmCode.RECEIVER_FAILING}
        raise_alarm(connection, AlarmCode.RULE_FAILED, "it", "again", T0 + PASSING_MS)
    post.clock.advance(1)
    auditor.step()
    with post.store.read() as connection:
        assert {alarm.code for alarm in standing_alarms(connection)} == {
            AlarmCode.RULE_FAILED,
            AlarmCode.RECEIVER_FAILING,
        }


@pytest.mark.parametrize(("code", "ends_after_ms"), REPEATED_MS.items())
def test_what_is_said_again_while_it_lasts_is_cleared_when_it_no_longer_is(
    code: AlarmCode, ends_after_ms: int, tmp_path: Path
) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    auditor = StuckWorkMonitor(post.store, [], clock_ms=post.clock)
    for _ in range(2):
        with post.store.write() as connection:
            raise_alarm(connection, code, "partition-1", "snapshot of site s1", post.clock())
        post.clock.advance(ends_after_ms)
        auditor.step()
        assert post.alarms() == [code]
    post.clock.advance(1)
    auditor.step()
    assert post.alarms() == []


def test_what_other_rooms_tell_is_raised_while_it_lasts(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    faults: list[tuple[str, str]] = [("s1/smoke-1", "at_ms 11000: never set since it started (1970)?")]
    away = False

    def tell() -> list[tuple[str, str]]:
        if away:
            raise Transient("the inventory is away")
        return faults

    told = {AlarmCode.DEVICE_CLOCK_WRONG: tell}
    auditor = StuckWorkMonitor(post.store, ["hook"], told=told, clock_ms=post.clock)
    assert [(item.subject, item.detail) for item in auditor.step()] == faults
    auditor.step()
    with post.store.read() as connection:
        assert [(a.code, a.subject, a.times) for a in standing_alarms(connection)] == [
            (AlarmCode.DEVICE_CLOCK_WRONG, "s1/smoke-1", 1)
        ]
    away = True
    auditor.step()
    assert post.alarms() == ["device_clock_wrong"]
    away, faults = False, []
    auditor.step()
    assert post.alarms() == []


def test_the_stuck_work_monitor_is_quiet_when_all_is_well(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    post.take(make_finding())
    post.drain()
    assert StuckWorkMonitor(post.store, ["hook"], clock_ms=post.clock).step() == []
    assert post.alarms() == []
