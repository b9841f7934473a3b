"""What is over when it is found is not shown as going on."""

from __future__ import annotations

import pytest

from app.wiring.rule_facts import finding_facts
from incidents.intake.episodes import opened
from incidents.store.records import EpisodeState
from tests.incidents.builders import make_finding


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("high_altitude_throw", EpisodeState.CLOSED),
        ("stranger_entry", EpisodeState.CLOSED),
        ("indoor_ebike", EpisodeState.OPEN),
        ("device_silent", EpisodeState.OPEN),
    ],
)
def test_a_fall_and_a_passage_are_over_at_once(rule: str, state: EpisodeState) -> None:
    assert opened(make_finding(rule=rule), "i1", momentary=finding_facts()[rule].momentary).state is state
