"""Own topics' payloads become events, or are refused with the right reason and without quoting anyone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from contracts.errors import Rejected, RejectReason
from contracts.events import EVENT_TYPES, BacklogDrained, DeviceStateChanged, DoorChanged
from contracts.names import Topic, parse_topic
from ingest.pipeline.decode import decode, kind_of, spool_mark
from ingest.pipeline.device_time import UNREADABLE_MS
from tests.ingest.builders import NOW_MS, door, power, reported, row, site, smoke, wire

GATE = parse_topic("linli/v1/s1/gate/g1/evt")
BOX = parse_topic("linli/v1/s1/edge/b1/evt")


def _reason(topic: Topic, payload: bytes) -> RejectReason:
    with pytest.raises(Rejected) as caught:
        decode(topic, payload, "run-1")
    assert len(caught.value.detail) < 400
    return caught.value.reason


def _changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(wire(door())), **fields}).encode()


def test_an_event_comes_out_as_it_went_in() -> None:
    assert decode(GATE, wire(door(seq=7)), "run-1") == door(seq=7)
    assert decode(BOX, wire(row(3, first=1)), "run-1") == row(3, first=1)


def test_unknown_fields_are_ignored_so_names_never_get_in() -> None:
    event = decode(GATE, _changed(person_name="张三", picture="A" * 1000), "run-1")
    assert event == door()


@pytest.mark.parametrize(
    ("fields", "expected"), [({"seq": 12}, "g1-12"), ({}, "run-1")], ids=["own number", "neither id nor number"]
)
def test_an_event_without_id_is_named_by_its_number_or_by_the_run(fields: dict[str, Any], expected: str) -> None:
    payload = json.loads(_changed(**fields))
    del payload["event_id"]
    assert decode(GATE, json.dumps(payload).encode(), "run-1").event_id == expected


def test_a_row_without_id_is_named_by_its_spool() -> None:
    payload = json.loads(wire(row(4)))
    del payload["event_id"]
    assert decode(BOX, json.dumps(payload).encode(), "run-1").event_id == "sp1-live-4"


REFUSALS: list[tuple[str, Topic, bytes, RejectReason]] = [
    ("10 MB", GATE, b'{"a":"' + b"x" * 10_000_000 + b'"}', RejectReason.TOO_LARGE),
    ("not UTF-8", GATE, b'{"kind":"\xff"}', RejectReason.NOT_UTF8),
    ("not JSON", GATE, b"on", RejectReason.NOT_JSON),
    ("empty", GATE, b"", RejectReason.NOT_JSON),
    ("cut off", GATE, wire(door())[:-5], RejectReason.NOT_JSON),
    ("deep", GATE, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", RejectReason.TOO_DEEP),
    ("NaN", parse_topic("linli/v1/s1/meter/m1/tele"), wire(power()).replace(b"120.0", b"NaN"), RejectReason.NOT_JSON),
    (
        "overflow",
        parse_topic("linli/v1/s1/meter/m1/tele"),
        wire(power()).replace(b"120.0", b"1e999"),
        RejectReason.OUT_OF_RANGE,
    ),
    ("out of range", parse_topic("linli/v1/s1/meter/m1/tele"), wire(power(power_w=2e6)), RejectReason.OUT_OF_RANGE),
    ("array", GATE, b"[]", RejectReason.WRONG_TYPE),
    ("no kind", GATE, b"{}", RejectReason.WRONG_TYPE),
    ("unknown kind", GATE, _changed(kind="teapot"), RejectReason.UNKNOWN_KIND),
    ("configuration", GATE, wire(site()), RejectReason.UNKNOWN_KIND),
    ("newer version", GATE, _changed(v=2), RejectReason.UNKNOWN_VERSION),
    ("newer version, unknown kind", GATE, _changed(v=2, kind="teapot"), RejectReason.UNKNOWN_VERSION),
    ("another site", GATE, wire(door(site_id="s2")), RejectReason.WRONG_SITE),
    ("another device", GATE, wire(door(source_id="g2")), RejectReason.WRONG_DEVICE),
    ("a gate with a spool", GATE, wire(door(spool=row(1).spool)), RejectReason.WRONG_DEVICE),
    ("another box's row", parse_topic("linli/v1/s1/edge/b2/evt"), wire(row(1)), RejectReason.WRONG_DEVICE),
    ("a gate that meters", GATE, wire(power(source_id="g1")), RejectReason.WRONG_DEVICE),
    ("a box that meters", BOX, wire(power(source_id="b1")), RejectReason.WRONG_DEVICE),
    ("a door as telemetry", parse_topic("linli/v1/s1/gate/g1/tele"), wire(door()), RejectReason.WRONG_CHANNEL),
    ("a heartbeat as state", parse_topic("linli/v1/s1/gate/g1/state"), wire(reported()), RejectReason.WRONG_CHANNEL),
    ("a command", parse_topic("linli/v1/s1/gate/g1/cmd"), wire(door()), RejectReason.WRONG_CHANNEL),
]


@pytest.mark.parametrize(("topic", "payload", "reason"), [c[1:] for c in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_bad_input_is_refused_with_its_reason(topic: Topic, payload: bytes, reason: RejectReason) -> None:
    assert _reason(topic, payload) is reason


def test_a_refusal_quotes_no_value_that_a_person_wrote() -> None:
    with pytest.raises(Rejected) as caught:
        decode(GATE, _changed(state="Zhang San"), "run-1")
    assert "Zhang" not in caught.value.detail
    assert "$.state" in caught.value.detail


def test_lone_surrogates_never_reach_the_log() -> None:
    payload = wire(door()).replace(b'"e1"', b'"\\ud800"')
    assert decode(GATE, payload, "run-1") == door("run-1")


def test_brackets_inside_texts_are_not_nesting() -> None:
    assert decode(GATE, _changed(note="[{" * 40), "run-1") == door()


def test_a_box_speaks_for_its_cameras_and_itself() -> None:
    drained = BacklogDrained(
        event_id="d", site_id="s1", source_id="b1", place_id="p1", at_ms=NOW_MS, spool_id="sp1", spool=row(9).spool
    )
    assert decode(BOX, wire(drained), "run-1") == drained


def test_the_row_of_a_refused_payload_is_still_recognised() -> None:
    payload = json.loads(wire(row(5)))
    payload["score"] = "high"
    mark = spool_mark(json.dumps(payload).encode())
    assert mark is not None
    assert mark.seq == 5
    assert spool_mark(b"[1]") is None
    assert spool_mark(b'{"spool": {"box_id": "B!", "spool_id": "x", "lane": "live", "seq": 1}}') is None


def test_state_is_a_full_event() -> None:
    state = DeviceStateChanged(
        event_id="s", site_id="s1", source_id="g1", place_id="p1", at_ms=NOW_MS, online=False, reason="last_will"
    )
    assert decode(parse_topic("linli/v1/s1/gate/g1/state"), wire(state), "run-1") == state


def test_every_kind_knows_its_name() -> None:
    assert kind_of(smoke()) == "environment_sampled"
    assert EVENT_TYPES[kind_of(door())] is DoorChanged
    assert msgspec.json.decode(wire(door()))["kind"] == kind_of(door())


@pytest.mark.parametrize("at_ms", ["now", "2026-11-29T10:00:00Z", None, -1, 1.5, NOW_MS * 1_000, 10**40, [], True])
def test_a_time_that_cannot_be_read_costs_no_message(at_ms: object) -> None:
    event = decode(GATE, _changed(at_ms=at_ms), "run-1")
    assert event == door(at_ms=UNREADABLE_MS)


def test_a_message_without_a_time_or_an_id_is_still_one() -> None:
    fields = msgspec.json.decode(wire(door()))
    del fields["at_ms"], fields["event_id"]
    assert decode(GATE, msgspec.json.encode(fields), "run-1") == door("run-1", at_ms=UNREADABLE_MS)
