"""From the wire to the finding: residents behind a gate whose grants cannot be taken are no verified strangers."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.pipeline.pipeline import Refused
from tests.detectors.access.door import GATE, Door
from tests.detectors.builders import MINUTE, SECOND, T0

REFUSED: dict[str, dict[str, Any]] = {
    "a word for true": {"granted": "ok"},
    "null": {"granted": None},
    "no word": {"granted": ...},
    "another kind": {"kind": "card_swiped"},
    "site in capitals": {"site_id": "S1"},
    "gate in capitals": {"source_id": "GATE1"},
    "stored, in seconds": {"stored": True, "at_ms": T0 // 1_000},
    "too large": {"picture": "A" * 300_000},
}


@pytest.mark.parametrize("said", REFUSED.values(), ids=REFUSED)
def test_residents_whose_grants_are_refused_are_no_verified_strangers(said: dict[str, Any]) -> None:
    door = Door()
    for n in range(6):
        at = n * 3 * MINUTE
        door.beats(at)
        assert isinstance(door.grants(at + SECOND, **said), Refused)
        door.beats(at + 2 * SECOND)
        door.passes(at + 3 * SECOND)
        door.beats(at + 8 * SECOND)
    assert [verified for _, verified in door.strangers(30 * MINUTE)] == [False] * 6


def test_a_topic_in_capitals_and_a_grant_through_a_box_count_as_well() -> None:
    door = Door()
    door.beats(0)
    door.wire.say(SECOND, "gate/GATE1", kind="access_attempted", credential="card", granted=True)
    door.passes(3 * SECOND)
    assert door.strangers(MINUTE) == [(3, False)]
    behind = Door(box_id="box1")
    behind.row(0, "gate1", kind="device_reported")
    behind.row(SECOND, "gate1", kind="access_attempted", credential="card", granted="ok")
    behind.passes(3 * SECOND)
    assert behind.strangers(MINUTE) == [(3, False)]


def test_grants_over_the_rate_of_a_gate_leave_it_unproven() -> None:
    door = Door()
    door.beats(0)
    outcomes = [door.grants(SECOND + n, person_ref="p1") for n in range(2_000)]
    assert isinstance(outcomes[-1], Refused)
    door.passes(50 * SECOND)
    assert door.strangers(2 * MINUTE) == [(50, False)]


def test_a_refused_grant_after_the_passage_still_leaves_it_unverified() -> None:
    door = Door()
    door.beats(0)
    door.passes(SECOND)
    door.grants(3 * SECOND, granted="ok")
    assert door.strangers(MINUTE) == [(1, False)]


def test_a_real_stranger_is_verified_before_and_ten_minutes_after_a_refused_grant() -> None:
    door = Door()
    for at in range(0, 20 * MINUTE, MINUTE):
        door.beats(at)
        if at == MINUTE:
            door.passes(at + SECOND)
        if at == 2 * MINUTE:
            door.grants(at + SECOND, granted="ok")
        if at in (9 * MINUTE, 13 * MINUTE):
            door.passes(at + SECOND)
    assert door.strangers(30 * MINUTE) == [(61, True), (541, False), (781, True)]


def test_what_a_gate_says_that_is_no_credential_and_other_devices_leave_it_proven() -> None:
    door = Door()
    door.beats(0)
    assert isinstance(door.wire.say(SECOND, GATE, kind="device_reported", site_id="S1"), Refused)
    assert isinstance(door.row(SECOND, "cam1", kind="passage_observed", track_id=-1), Refused)
    door.passes(3 * SECOND)
    assert door.strangers(MINUTE) == [(3, True)]
