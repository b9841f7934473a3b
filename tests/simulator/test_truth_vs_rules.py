"""The rules against the simulator's truth: everything expected is found once, and nothing else is."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from contracts.events import AnyEvent
from contracts.findings import Finding
from detectors.registry import all_rules, rule_facts
from simulator.demo_script import DemoScript
from simulator.generate import SimulationRequest, generate
from tests.simulator.judging import judge, opened
from tests.simulator.worlds import world

RULES = set(rule_facts())
END_MS = 1_773_633_600_000
SETUP_MS = 20_000


@pytest.mark.slow
def test_a_day_of_two_communities_is_found_completely_and_nothing_else() -> None:
    verdict = judge(world().truths, opened(world().events, all_rules()))

    assert not verdict.missed, verdict.table()
    assert not verdict.wrong, verdict.table()
    found = {truth.rule for truth in verdict.found}
    assert found == RULES, f"simulator/: no situation of {sorted(RULES - found)} in a day"


@pytest.mark.slow
def test_two_days_are_found_completely_and_nothing_else() -> None:
    days = generate(SimulationRequest(seed=11, days=2, sites=1))
    verdict = judge(days.truths, opened(days.events, all_rules()))

    assert not verdict.missed, verdict.table()
    assert not verdict.wrong, verdict.table()


def _demo(seed: int) -> tuple[DemoScript, list[Finding]]:
    """The demo as its log would hold it: the history, a set-up of twenty seconds, two minutes of life."""
    demo = DemoScript(seed, END_MS)
    past = list(demo.history())
    live = itertools.takewhile(lambda due: due[0] < 120, demo.live(END_MS + SETUP_MS))
    now: list[AnyEvent] = [msgspec.structs.replace(event, received_ms=event.at_ms + 40) for _, _, event in live]
    return demo, opened([*past, *now], all_rules())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_the_demo_five_rules_fire_within_ninety_seconds_and_the_past_is_no_flood(seed: int) -> None:
    demo, opens = _demo(seed)
    live = {o.rule for o in opens if END_MS + SETUP_MS <= o.decided_ms <= END_MS + SETUP_MS + 90_000}
    past = [o for o in opens if o.decided_ms < END_MS]
    expected = judge([t for t in demo.truths if t.to_ms < END_MS], past)

    assert live == RULES - {"indoor_ebike", "high_altitude_throw"}
    assert not expected.missed, expected.table()
    assert len(past) <= 30
    assert {o.rule for o in past} <= RULES - {"indoor_ebike", "high_altitude_throw"}
