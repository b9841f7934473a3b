"""A stranger is verified only where a credential, had there been one, would be known."""

from __future__ import annotations

import pytest

from contracts.events import Credential
from contracts.names import DeviceClass
from tests.detectors.access.doorway import at, judge, strangers
from tests.detectors.builders import HOUR, MINUTE, T0, Script


def test_a_gate_that_is_not_proven_live_leaves_the_finding_unverified() -> None:
    script = Script()
    (found,) = judge(script, script.passage(at(0), 1), alive=False)
    assert not found.draft.verified


def test_an_offline_gate_leaves_the_finding_unverified_until_it_is_heard() -> None:
    script = Script()
    offline = script.state(at(1), "gate1", "door1", online=False)
    found = judge(script, offline, script.passage(at(2), 1), script.passage(at(90), 2))
    assert [d.draft.verified for d in found] == [False, True]


def test_every_gate_of_the_door_must_be_live() -> None:
    script = Script()
    second = script.device("gate2", DeviceClass.GATE, "door1", silent_after_ms=2 * MINUTE)
    (found,) = judge(script, second, script.passage(at(0), 1))
    assert not found.draft.verified


def test_a_gate_whose_clock_cannot_be_used_proves_nothing_until_it_is_right() -> None:
    script = Script()
    found = judge(
        script,
        script.access(at(1), untrusted=True),
        script.passage(at(2), 1),
        script.passage(at(5), 2),
        script.access(at(119)),
        script.passage(at(120), 3),
        script.passage(at(125), 4),
    )
    assert strangers(found) == [(5.0, "tailgating"), (125.0, "tailgating")]
    assert [d.draft.verified for d in found] == [False, True]


@pytest.mark.parametrize(("from_s", "to_s", "verified"), [(-100, -16, True), (-100, -14, False), (2, 50, False)])
def test_an_interruption_around_the_passage_leaves_it_unverified(from_s: int, to_s: int, verified: bool) -> None:
    script = Script()
    (found,) = judge(script, script.interrupted(at(from_s), at(to_s)), script.passage(at(0), 1))
    assert found.draft.verified is verified


def test_visitors_who_are_expected_and_have_not_come_leave_it_unverified() -> None:
    script = Script()
    party = script.visitors("v1", party_size=1, from_ms=T0, to_ms=T0 + HOUR)
    shown = script.access(at(100), Credential.QR, registration_id="v1")
    found = judge(
        script, party, script.passage(at(0), 1), shown, script.passage(at(102), 2), script.passage(at(140), 3)
    )
    assert [d.draft.verified for d in found] == [False, True]


def test_expected_visitors_of_another_door_change_nothing() -> None:
    script = Script()
    party = script.visitors("v1", from_ms=T0, to_ms=T0 + HOUR, door_ids=("door9",))
    (found,) = judge(script, party, script.passage(at(0), 1))
    assert found.draft.verified
