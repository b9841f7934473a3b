"""A reference is taken out of whatever names it, known by its digest alone; everything else stays as it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.erasure import Eraser, Erasure, digest_of, erasure_of, is_tombstone, tombstone_of, was_erased
from contracts.events import (
    AccessAttempted,
    AnyEvent,
    ConsentRecorded,
    Credential,
    ReferenceErased,
    ReferenceKind,
    TagSeen,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.findings import Fact, Subject, SubjectKind
from contracts.names import is_id
from tests.incidents.builders import T0, make_finding

BASE: dict[str, Any] = {"event_id": "e", "site_id": "s1", "source_id": "g1", "place_id": "p1", "at_ms": 100}
ROW = BASE | {"version": 1}


def eraser(kind: ReferenceKind, ref: str, site: str = "s1", before_ms: int = 200) -> Eraser:
    return Eraser([Erasure(site, kind, digest_of(site, kind, ref), before_ms)])


def access(**more: Any) -> AccessAttempted:
    return AccessAttempted(**BASE, credential=Credential.CARD, granted=True, **more)


@pytest.mark.parametrize(
    ("kind", "event", "rest"),
    [
        (ReferenceKind.PERSON, access(person_ref="x1", registration_id="r"), access(registration_id="r")),
        (ReferenceKind.VISITOR, access(person_ref="p", registration_id="x1"), access(person_ref="p")),
        (ReferenceKind.PERSON, ConsentRecorded(**ROW, subject_ref="x1", purpose="absence", granted=True), None),
        (ReferenceKind.VISITOR, VisitorRegistered(**ROW, registration_id="x1", host_place_id="r1"), None),
        (ReferenceKind.VEHICLE, VehicleRegistered(**ROW, vehicle_id="x1"), None),
        (
            ReferenceKind.PERSON,
            VehicleRegistered(**ROW, vehicle_id="v", owner_refs=("x1", "b")),
            VehicleRegistered(**ROW, vehicle_id="v", owner_refs=("b",)),
        ),
        (
            ReferenceKind.TAG,
            VehicleRegistered(**ROW, vehicle_id="v", tag_id="x1"),
            VehicleRegistered(**ROW, vehicle_id="v"),
        ),
    ],
)
def test_what_names_the_reference_goes_and_the_rest_stays(
    kind: ReferenceKind, event: AnyEvent, rest: AnyEvent | None
) -> None:
    assert eraser(kind, "x1").event(event) == rest
    for other in (eraser(kind, "x2"), eraser(kind, "x1", site="s2"), eraser(kind, "x1", before_ms=99)):
        assert other.event(event) is event


def test_a_tag_that_was_heard_becomes_a_tombstone_that_is_an_id() -> None:
    heard = eraser(ReferenceKind.TAG, "t1").event(TagSeen(**BASE, tag_id="t1"))
    assert isinstance(heard, TagSeen)
    assert is_tombstone(heard.tag_id)
    assert is_id(heard.tag_id)


def test_a_finding_keeps_its_id_and_says_that_something_was_taken_out() -> None:
    finding = make_finding(
        key="door/x1",
        place_id="door",
        subject=Subject(SubjectKind.PERSON, "x1"),
        facts=(Fact(code="who", value="by x1, at 3"),),
    )
    erased = eraser(ReferenceKind.PERSON, "x1", before_ms=T0 + 1).finding(finding)
    tombstone = tombstone_of(digest_of("s1", ReferenceKind.PERSON, "x1"))
    assert (erased.finding_id, erased.key, erased.subject.ref) == (finding.finding_id, f"door/{tombstone}", tombstone)
    assert erased.facts[0].value == f"by {tombstone}, at 3"
    assert b"x1" not in msgspec.json.encode(erased)
    assert was_erased(erased)
    assert not was_erased(finding)
    assert eraser(ReferenceKind.PERSON, "x1", before_ms=T0 - 1).finding(finding) is finding


def test_only_whole_words_of_a_text_are_references() -> None:
    text = eraser(ReferenceKind.PERSON, "p-1").text("s1", "p-1 p-12 xp-1 (p-1)", 0)
    assert text.count("p-1") == 2
    assert text.split()[1:3] == ["p-12", "xp-1"]


def test_the_record_of_an_erasure_does_not_name_what_was_erased() -> None:
    digest = digest_of("s1", ReferenceKind.PERSON, "x1")
    record = ReferenceErased(**ROW, reference=ReferenceKind.PERSON, digest=digest, before_ms=200)
    assert b"x1" not in msgspec.msgpack.encode(record)
    assert Eraser([erasure_of(record)]).event(access(person_ref="x1")) == access()
