"""Every truth stands on events in the file: what is expected is there to be found, what is not is only alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.events import (
    AccessAttempted,
    Direction,
    EnvironmentSampled,
    Event,
    ObjectFell,
    ObjectLabel,
    ObjectObserved,
    PassageObserved,
    PowerSampled,
)
from simulator.truth import Truth
from tests.simulator.worlds import world

SLACK_MS = 10_000


def _events(truth: Truth, kind: type[Event], before_ms: int = 0) -> list[Event]:
    seen = {
        event.event_id: event
        for event in world().events
        if type(event) is kind
        and (event.site_id, event.place_id) == (truth.site_id, truth.place_id)
        and truth.from_ms - before_ms <= event.at_ms <= truth.to_ms + SLACK_MS
    }
    return list(seen.values())


def _truths(rule: str, *, expected: bool) -> list[Truth]:
    found = [t for t in world().truths if t.rule == rule and t.expected is expected]
    assert found
    return found


def test_the_page_of_the_simulator_names_every_situation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    told = {(t.rule, t.detail) for t in world().truths if "…" not in rows.get(t.rule, "")}
    unsaid = sorted((rule, detail) for rule, detail in told if f"`{detail}`" not in rows.get(rule, ""))
    assert unsaid == [], f"docs/simulator.md: the row of the rule lacks {unsaid}"


def test_only_falls_have_no_near_miss() -> None:
    alike = {t.rule for t in world().truths if not t.expected}
    lacking = sorted({t.rule for t in world().truths} - alike)
    assert lacking == ["high_altitude_throw"], f"simulator/: no near miss of {lacking}"


@pytest.mark.parametrize("expected", [True, False])
def test_more_people_than_credentials_come_in_exactly_where_a_stranger_is_expected(
    expected: bool,
) -> None:
    for truth in _truths("stranger_entry", expected=expected):
        passed = [e for e in _events(truth, PassageObserved, 10_000) if _inward(e)]
        shown = [e for e in _events(truth, AccessAttempted, 10_000) if _granted_in(e)]
        covered = len(shown) if truth.detail not in {"party_exceeded", "visitor_party"} else len(passed) - expected
        assert (len(passed) > covered) is expected, truth


def _inward(event: Event) -> bool:
    return isinstance(event, PassageObserved) and event.direction is Direction.IN


def _granted_in(event: Event) -> bool:
    return isinstance(event, AccessAttempted) and event.granted and event.direction is Direction.IN


def test_an_expected_ebike_stays_ten_seconds_and_a_near_miss_does_not() -> None:
    for truth in _truths("indoor_ebike", expected=True):
        seen = [e for e in _events(truth, ObjectObserved) if isinstance(e, ObjectObserved)]
        assert max(e.dwell_ms for e in seen if e.label is ObjectLabel.E_BIKE) >= 10_000
    for truth in _truths("indoor_ebike", expected=False):
        bikes = [
            e
            for e in _events(truth, ObjectObserved)
            if isinstance(e, ObjectObserved) and e.label is ObjectLabel.E_BIKE and e.at_ms <= truth.to_ms
        ]
        assert truth.detail == "single_frame" or not bikes


def test_every_expected_charge_shows_a_plateau_on_its_meter() -> None:
    for truth in _truths("indoor_ebike_charging", expected=True):
        samples = [e for e in _events(truth, PowerSampled) if isinstance(e, PowerSampled)]
        loaded = [s for s in samples if s.power_w > 80]
        assert loaded[-1].at_ms - loaded[0].at_ms > 2 * 3_600_000


def test_every_expected_fall_and_alarm_is_one_event_of_its_device() -> None:
    for truth in _truths("high_altitude_throw", expected=True):
        assert len(_events(truth, ObjectFell)) >= 1
    for truth in _truths("smoke_or_heat", expected=True):
        alarms = [e for e in _events(truth, EnvironmentSampled) if isinstance(e, EnvironmentSampled) and e.alarm]
        assert alarms
    for truth in _truths("smoke_or_heat", expected=False):
        assert not any(isinstance(e, EnvironmentSampled) and e.alarm for e in _events(truth, EnvironmentSampled))


def test_no_calm_report_interrupts_an_alarm() -> None:
    for truth in _truths("smoke_or_heat", expected=True):
        readings = sorted(
            (e for e in _events(truth, EnvironmentSampled) if isinstance(e, EnvironmentSampled)), key=lambda e: e.at_ms
        )
        during = [e.alarm for e in readings if truth.from_ms <= e.at_ms <= truth.to_ms - SLACK_MS]
        assert all(during)


def test_a_silent_device_says_nothing_for_as_long_as_its_silence_takes() -> None:
    for truth in _truths("device_silent", expected=True):
        if truth.detail == "offline":
            continue
        heard = sorted(
            e.at_ms
            for e in world().events
            if e.site_id == truth.site_id and e.source_id == truth.subject and type(e).__name__ != "DeviceStateChanged"
        )
        inside = [at_ms for at_ms in heard if truth.from_ms <= at_ms <= truth.to_ms]
        gap_from = max(inside, default=truth.from_ms)
        assert not any(gap_from < at_ms <= truth.to_ms for at_ms in heard)
