"""One swipe lets one person in, however often and by whomever it is reported; two people are two."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.events import Credential
from contracts.names import DeviceClass
from tests.detectors.access.doorway import at, judge, strangers
from tests.detectors.builders import HOUR, MINUTE, T0, Script


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
