"""`stranger_entry`: every inward passage needs a grant; nobody is accused on missing data."""

from __future__ import annotations

import pytest

from contracts.events import Credential, Direction, DoorState, Event
from contracts.findings import Phase, SubjectKind
from detectors.access.stranger_entry import StrangerEntry
from tests.detectors.access.doorway import at, judge, site, strangers
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script, still
from tests.detectors.harness import Harness

# --- what is covered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "credential",
    [Credential.FACE, Credential.CARD, Credential.QR, Credential.PIN, Credential.FINGERPRINT, Credential.ID_CARD],
)
def test_a_personal_credential_covers_one_passage(credential: Credential) -> None:
    script = Script()
    found = judge(script, script.access(at(0), credential), script.passage(at(3), 1), script.passage(at(5), 2))
    assert strangers(found) == [(5.0, "tailgating")]


def test_people_with_their_own_credentials_pass_in_any_order() -> None:
    script = Script()
    events = [
        script.access(at(0)),
        script.access(at(1.5)),
        script.passage(at(3), 1),
        script.access(at(4)),
        script.passage(at(5), 2),
        script.passage(at(6.5), 3),
    ]
    assert judge(script, *events) == []


@pytest.mark.parametrize(("late_s", "strange"), [(0.5, False), (3.0, False), (3.5, True)])
def test_a_credential_reported_just_after_the_passage_is_waited_for(late_s: float, strange: bool) -> None:
    script = Script()
    found = judge(script, script.passage(at(0), 1), script.access(at(late_s)))
    assert [d.at_ms - T0 for d in found] == ([at(3)] if strange else [])


@pytest.mark.parametrize(
    ("pass_s", "closed_s", "strange"),
    [
        (14, None, False),  # in its window
        (16, None, True),  # after it, and nothing says the door stayed open
        (40, 50, False),  # slow, but the door stayed open
        (40, 20, True),  # the door had closed
        (61, 70, True),  # nobody is that slow
    ],
)
def test_an_unused_credential_waits_while_the_door_stays_open(pass_s: int, closed_s: int | None, strange: bool) -> None:
    script = Script()
    events: list[Event] = [script.access(at(0)), script.passage(at(pass_s), 1)]
    if closed_s is not None:
        events += [script.door(at(1), DoorState.OPEN), script.door(at(closed_s), DoorState.CLOSED)]
    assert len(judge(script, *events)) == strange


@pytest.mark.parametrize(
    ("credential", "direction", "covers"),
    [
        (Credential.REMOTE, Direction.IN, True),
        (Credential.NONE, Direction.IN, True),
        (Credential.BUTTON, Direction.IN, True),
        (Credential.BUTTON, Direction.OUT, False),
        (Credential.CARD, Direction.OUT, False),
        (Credential.REMOTE, Direction.OUT, False),
    ],
)
def test_an_opening_for_others_covers_whoever_passes_then(
    credential: Credential, direction: Direction, covers: bool
) -> None:
    script = Script()
    passages = [script.passage(at(second), track) for track, second in enumerate((2, 6, 12))]
    found = judge(script, script.access(at(0), credential, direction=direction), *passages)
    assert len(found) == (0 if covers else 3)


def test_a_registration_covers_its_party_and_begins_anew_when_shown_again() -> None:
    script = Script()
    party = script.visitors("v1", party_size=3, from_ms=T0, to_ms=T0 + HOUR)
    shown = [script.access(at(s), Credential.QR, registration_id="v1") for s in (0, 200)]
    inside = [script.passage(at(s), n) for n, s in enumerate((2, 4, 90, 203, 205, 300, 302))]
    found = judge(script, party, *shown, *inside)
    assert strangers(found) == [(302.0, "no_grant")]


def test_an_unknown_or_expired_registration_is_one_credential() -> None:
    script = Script()
    old = script.visitors("v1", party_size=5, from_ms=T0 - HOUR, to_ms=T0 + MINUTE)
    events = [script.access(at(0), Credential.QR, registration_id="v2"), script.passage(at(2), 1)]
    again = [script.access(at(100), Credential.QR, registration_id="v1"), script.passage(at(102), 2)]
    found = judge(script, old, *events, *again, script.passage(at(130), 3))
    assert strangers(found) == [(130.0, "no_grant")]


# --- how somebody came in ---------------------------------------------------------------------------------------------


def test_a_door_held_for_another_is_found_long_after_the_grant() -> None:
    script = Script()
    events = [
        script.access(at(0)),
        script.door(at(0.5), DoorState.OPEN),
        script.passage(at(2), 1),
        script.door(at(15), DoorState.HELD_OPEN),
        script.passage(at(24), 2),
        script.door(at(28), DoorState.CLOSED),
    ]
    (found,) = judge(script, *events)
    assert (found.fact("manner"), found.fact("since_grant_s"), found.fact("door_open_s")) == ("door_held", 24.0, 23.5)


def test_somebody_who_slips_in_as_another_leaves_is_found() -> None:
    script = Script()
    events = [
        script.access(at(0), Credential.BUTTON, direction=Direction.OUT),
        script.door(at(0.4), DoorState.OPEN),
        script.passage(at(2), 1, direction=Direction.OUT),
        script.passage(at(3.5), 2),
    ]
    assert strangers(judge(script, *events)) == [(3.5, "open_door")]


def test_a_denial_before_the_passage_is_a_fact_and_by_itself_nothing() -> None:
    script = Script()
    denied = script.access(at(0), Credential.FACE, granted=False, reason="unknown_face")
    assert judge(script, denied) == []
    ref = still()
    (found,) = judge(
        script, denied, script.access(at(20)), script.passage(at(22), 1), script.passage(at(24), 2, evidence=(ref,))
    )
    assert found.fact("denied_before") == "unknown_face"
    assert found.facts()["denied_before"].event_ids == (denied.event_id,)
    assert found.draft.evidence == (ref,)
    assert (found.draft.subject.kind, found.draft.subject.ref) == (SubjectKind.PLACE, "door1")
    assert (found.phase, found.draft.source_id, found.draft.verified) == (Phase.OPEN, "cam1", True)


# --- near misses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [Direction.OUT, Direction.UNKNOWN])
def test_only_a_passage_that_surely_comes_in_is_judged(direction: Direction) -> None:
    script = Script()
    assert judge(script, script.passage(at(0), 1, direction=direction)) == []


def test_a_second_camera_or_the_same_track_again_is_the_same_person() -> None:
    script = Script()
    events = [
        script.access(at(0)),
        script.passage(at(2), 1),
        script.passage(at(2.8), 44, camera="cam2"),
        script.passage(at(3.5), 1),  # wavers on the line
        script.passage(at(9), 1),
    ]
    assert judge(script, *events) == []


def test_two_cameras_that_see_two_people_still_count_two() -> None:
    script = Script()
    events = [script.access(at(0))]
    sightings = [script.passage(at(s), t, camera=c) for s, t, c in ((2, 1, "cam1"), (2.4, 9, "cam2"))]
    behind = [script.passage(at(s), t, camera=c) for s, t, c in ((3.5, 2, "cam1"), (3.9, 8, "cam2"))]
    assert strangers(judge(script, *events, *sightings, *behind)) == [(3.5, "tailgating")]


def test_a_door_without_a_gate_and_a_doubtful_sighting_accuse_nobody() -> None:
    script = Script()
    harness = Harness(StrangerEntry())
    harness.feed([*site(script), script.passage(at(0), 1, door="side"), script.passage(at(1), 2, score=0.3)])
    harness.until(T0 + HOUR)
    assert harness.found == []
    assert harness.states == {}


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_crowd_with_credentials_is_covered_however_many_are_open_at_once() -> None:
    script = Script()
    events = [script.access(at(n * 0.5)) for n in range(12)]
    events_in = [script.passage(at(7 + n * 0.7), n) for n in range(12)]
    assert judge(script, *events, *events_in) == []


def test_a_crowd_of_which_each_is_reported_twice_is_covered_and_no_more() -> None:
    script = Script()
    swipes = [script.access(at(n * 0.5 + s), person_ref=f"p{n}") for n in range(12) for s in (0, 0.2)]
    inside = [script.passage(at(7 + n * 0.7), n) for n in range(12)]
    assert judge(script, *swipes, *inside) == []
    spread = [script.access(at(100 + n * 3 + s), person_ref=f"p{n}") for n in range(12) for s in (0, 0.2)]
    behind = [script.passage(at(101 + n * 3), 100 + n) for n in range(12)]
    found = judge(script, *spread, *behind, script.passage(at(137), 200))
    assert strangers(found) == [(137.0, "tailgating")]


def test_state_is_forgotten_when_nothing_happens() -> None:
    script = Script()
    harness = Harness(StrangerEntry())
    harness.feed([*site(script), script.access(0), script.passage(SECOND, 1)])
    assert harness.states
    harness.until(T0 + HOUR)
    assert harness.states == {}
    assert harness.found == []
