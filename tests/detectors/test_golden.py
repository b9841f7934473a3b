"""Golden scenarios: a change of any rule that changes what it says of them is seen here first."""

from __future__ import annotations

import pytest

from contracts.findings import Phase
from tests.detectors.golden import SCENARIOS, events_of, findings_of, found_in, scripted

EACH = pytest.mark.parametrize("name", SCENARIOS)

TOLD: dict[str, list[str]] = {
    "camera_impaired": ["open", "update", "open", "close", "close"],
    "device_silent": ["open", "open", "close", "close", "open", "close"],
    "high_altitude_throw": ["open"] * 4,
    "smoke_or_heat": ["open", "open", "update", "close", "close"],
    "indoor_ebike": ["open", "open", "close", "close", "open", "update", "close"],
    "indoor_ebike_charging": ["open", "update", "update", "close"],
    "stranger_entry": ["open"] * 4,
}
"""What each scenario is about, in short; the files hold every word."""


@EACH
def test_the_findings_of_a_scenario_are_exactly_those_in_its_file(name: str) -> None:
    assert found_in(events_of(name)) == findings_of(name)


@EACH
@pytest.mark.parametrize(("partitions", "max_events"), [(1, 1), (3, 7)])
def test_neither_partitions_nor_batch_sizes_change_them(name: str, partitions: int, max_events: int) -> None:
    assert found_in(events_of(name), partitions=partitions, max_events=max_events) == findings_of(name)


@EACH
def test_the_rule_itself_tells_its_story(name: str) -> None:
    told = [finding.phase.value for finding in findings_of(name) if finding.rule == name]
    assert told == TOLD.get(name), f"tests/detectors/test_golden.py: TOLD is another story of {name!r}, or has none"
    assert Phase.RETRACT not in told


@EACH
def test_a_scenarios_file_is_what_its_script_says(name: str) -> None:
    assert events_of(name) == scripted(name)


def test_no_scenario_has_a_failed_rule() -> None:
    assert [f for name in SCENARIOS for f in findings_of(name) if f.rule == "rule_failed"] == []
