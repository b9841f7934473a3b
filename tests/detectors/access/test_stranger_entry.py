"""`stranger_entry`: every inward passage needs a grant; nobody is accused on missing data."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.events import Credential, Direction, DoorState, Event
from contracts.findings import Phase, SubjectKind
from contracts.names import DeviceClass
from detectors.access.stranger_entry import StrangerEntry
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script, still
from tests.detectors.harness import Decided, Harness, run


def site(script: Script) -> list[Event]:
    return [
        script.device("gate1", DeviceClass.GATE, "door1", silent_after_ms=2 * MINUTE),
        script.device("cam1", DeviceClass.CAM, "door1"),
        script.device("cam2", DeviceClass.CAM, "door1"),
    ]


def judge(script: Script, *events: Event, alive: bool = True) -> list[Decided]:
    beats = [script.reported(at * MINUTE, "gate1") for at in range(60)] if alive else []
    return run(StrangerEntry(), [*site(script), *beats, *events], T0 + HOUR)


def at(second: float) -> int:
    return 10 * MINUTE + int(second * SECOND)


def strangers(found: list[Decided]) -> list[tuple[float, str]]:
    return [((d.draft.episode.onset_ms - T0 - 10 * MINUTE) / 1000, d.fact("manner")) for d in found]


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


@pytest.mark.parametrize("between_s", [0, 0.3, 2, 5])
@pytest.mark.parametrize("first_in_s", [1, 6])
def test_one_swipe_that_is_reported_twice_lets_one_person_in(between_s: float, first_in_s: float) -> None:
    script = Script()
    swipes = [script.access(at(s), person_ref="p1") for s in (0, between_s)]
    found = judge(script, *swipes, script.passage(at(first_in_s), 1), script.passage(at(first_in_s + 2), 2))
    assert strangers(found) == [(first_in_s + 2.0, "tailgating")]


def test_a_card_that_lies_on_the_reader_lets_one_person_in_however_often_it_is_read() -> None:
    script = Script()
    swipes = [script.access(at(2 * n), person_ref="p1") for n in range(8)]
    found = judge(script, *swipes, script.passage(at(3), 1), script.passage(at(12), 2))
    assert strangers(found) == [(12.0, "tailgating")]


def test_a_face_and_a_card_of_one_person_are_one_and_two_gates_of_a_door_too() -> None:
    script = Script()
    face = script.access(at(0), Credential.FACE, person_ref="p1")
    card = script.access(at(1), Credential.CARD, person_ref="p1", gate="gate2")
    found = judge(script, face, card, script.passage(at(2), 1), script.passage(at(4), 2))
    assert strangers(found) == [(4.0, "tailgating")]


@pytest.mark.parametrize("refs", [("p1", "p2"), (None, None)])
def test_two_people_who_swipe_within_seconds_are_two(refs: tuple[str | None, str | None]) -> None:
    script = Script()
    swipes = [script.access(at(0.3 * n), person_ref=ref) for n, ref in enumerate(refs)]
    assert judge(script, *swipes, script.passage(at(2), 1), script.passage(at(3.5), 2)) == []


NAMED: dict[str, Any] = {"person_ref": "p1"}
UNNAMED: dict[str, Any] = {}
SHOWN: dict[str, Any] = {"registration_id": "r9"}


@pytest.mark.parametrize(
    "reports",
    [
        (NAMED, UNNAMED),
        (UNNAMED, NAMED),
        (NAMED, UNNAMED, UNNAMED),
        (SHOWN, {**NAMED, **SHOWN}),
        ({**NAMED, **SHOWN}, SHOWN),
        (SHOWN, UNNAMED),
        ({"person_ref": "p1a"}, {"person_ref": "P1A"}),
        ({"person_ref": "p1"}, {"person_ref": " p1 "}),
        ({"registration_id": "r9"}, {"registration_id": "R9 "}),
        ({"person_ref": "p1"}, {"person_ref": "  "}),
    ],
)
@pytest.mark.parametrize("first_in_s", [0.1, 4.6])
def test_one_swipe_that_is_reported_in_two_ways_lets_one_person_in(
    reports: tuple[dict[str, Any], ...], first_in_s: float
) -> None:
    script = Script()
    swipes = [script.access(at(0.3 * n), **report) for n, report in enumerate(reports)]
    found = judge(script, *swipes, script.passage(at(first_in_s), 1), script.passage(at(first_in_s + 2), 2))
    assert strangers(found) == [(first_in_s + 2.0, "tailgating")]


@pytest.mark.parametrize(
    "reports", [(NAMED, UNNAMED, {"person_ref": "p2"}, UNNAMED), (NAMED, {"person_ref": "p2"}, UNNAMED, UNNAMED)]
)
def test_two_people_of_whom_each_is_reported_in_two_ways_are_two(reports: tuple[dict[str, Any], ...]) -> None:
    script = Script()
    swipes = [script.access(at(0.3 * n), **report) for n, report in enumerate(reports)]
    passages = [script.passage(at(2 + 2 * n), n) for n in range(3)]
    assert strangers(judge(script, *swipes, *passages)) == [(6.0, "tailgating")]


@pytest.mark.parametrize(
    ("second_s", "more"),
    [
        (0.3, {"gate": "gate2"}),
        (0.3, {"credential": Credential.FACE}),
        (5.5, {}),  # after ``again_ms``
        (6.0, NAMED),  # the same person: another swipe
    ],
)
def test_an_unnamed_credential_of_another_reader_kind_or_time_is_somebody_else(
    second_s: float, more: dict[str, Any]
) -> None:
    script = Script()
    swipes = [script.access(at(0), person_ref="p1"), script.access(at(second_s), **more)]
    found = judge(script, *swipes, script.passage(at(second_s + 1), 1), script.passage(at(second_s + 3), 2))
    assert found == []


def test_a_party_s_code_that_is_reported_without_its_name_is_still_the_party_s() -> None:
    script = Script()
    party = script.visitors("v1", party_size=3, from_ms=T0, to_ms=T0 + HOUR)
    named = script.access(at(1), Credential.QR, registration_id="v1")
    for first, second in ((script.access(at(0), Credential.QR), named), (named, script.access(at(2), Credential.QR))):
        inside = [script.passage(at(s), n) for n, s in enumerate((3, 30, 60, 90))]
        assert strangers(judge(script, party, first, second, *inside)) == [(90.0, "no_grant")]


def test_one_person_who_swipes_at_two_doors_has_a_grant_at_each() -> None:
    script = Script()
    other = [
        script.device("gate9", DeviceClass.GATE, "door9", silent_after_ms=2 * MINUTE),
        script.device("cam9", DeviceClass.CAM, "door9"),
    ]
    swipes = [script.access(at(0), person_ref="p1"), script.access(at(4), person_ref="p1", door="door9", gate="gate9")]
    inside = [script.passage(at(2), 1), script.passage(at(5), 1, door="door9", camera="cam9")]
    assert judge(script, *other, *swipes, *inside) == []


def test_who_comes_back_to_swipe_again_has_another_grant() -> None:
    script = Script()
    swipes = [script.access(at(s), person_ref="p1") for s in (0, 6)]
    assert judge(script, *swipes, script.passage(at(2), 1), script.passage(at(8), 2)) == []


def test_a_registration_that_is_read_twice_covers_its_party_once() -> None:
    script = Script()
    party = script.visitors("v1", party_size=2, from_ms=T0, to_ms=T0 + HOUR)
    shown = [script.access(at(s), Credential.QR, registration_id="v1") for s in (0, 3)]
    found = judge(script, party, *shown, *[script.passage(at(s), n) for n, s in enumerate((1, 4, 6))])
    assert strangers(found) == [(6.0, "tailgating")]


def test_how_soon_is_again_can_be_set_for_a_site() -> None:
    script = Script()
    off = script.threshold("stranger_entry", "again_ms", 0)
    swipes = [script.access(at(s), person_ref="p1") for s in (0, 0.3)]
    assert judge(script, off, *swipes, script.passage(at(2), 1), script.passage(at(3.5), 2)) == []


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


# --- missing data -----------------------------------------------------------------------------------------------------


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
