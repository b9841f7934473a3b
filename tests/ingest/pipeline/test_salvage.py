"""A message is as good as its good parts: one bad value costs itself, never the alarm beside it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DropReason, Rejected, RejectReason
from contracts.events import (
    AccessAttempted,
    Credential,
    Direction,
    EnvironmentSampled,
    ObjectFell,
    PowerSampled,
)
from ingest.pipeline.decode import decode, spool_mark
from tests.ingest.builders import NOW_MS, door, power, reported, row, smoke, wire
from tests.ingest.pipeline.salvaged import BOX, FULL, GATE, METER, SENSOR, full_with, full_with_raw, read

NEEDED = {"kind", "alarm", "site_id", "source_id"}
"""What is no side field; who speaks has a test of its own, since another's name is another's message."""
RAW = (
    "NaN",
    "nan",
    "-Infinity",
    "1.#QNAN",
    "1e999",
    "tru",
    "21,5",
    "0x1f",
    "'a'",
    "1_000",
    "--5",
    '"\\ud800"',
    '"\\q"',
)
WRONG = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=100),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=3),
).map(json.dumps)


@given(st.sampled_from(sorted(set(FULL) - NEEDED)), st.one_of(WRONG, st.sampled_from(RAW)))
def test_whatever_one_field_beside_it_says_the_alarm_survives(field: str, text: str) -> None:
    event, _ = read(full_with_raw(field, text))
    assert isinstance(event, EnvironmentSampled)
    assert event.alarm
    kept = msgspec.to_builtins(event)
    others = {name for name in FULL if name not in {field, "stored", "origin", "event_id"}}
    assert {name: kept.get(name) for name in others} == {name: FULL[name] for name in others}


@given(st.sets(st.sampled_from(sorted(set(FULL) - NEEDED)), min_size=1), st.data())
def test_however_many_fields_are_wrong_the_alarm_survives(fields: set[str], data: st.DataObject) -> None:
    payload = full_with(**dict.fromkeys(fields, "RAW"))
    for _ in fields:
        payload = payload.replace(b'"RAW"', data.draw(st.sampled_from(RAW)).encode("utf-8", "surrogatepass"), 1)
    event, faults = read(payload)
    assert isinstance(event, EnvironmentSampled)
    assert event.alarm
    assert faults


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"temperature_c": -327.68}, ["temperature_c:out_of_range"]),
        ({"humidity_pct": 100.4}, ["humidity_pct:out_of_range"]),
        ({"smoke_pct_m": -0.02}, ["smoke_pct_m:out_of_range"]),
        ({"temperature_c": None}, []),
        ({"temperature_c": [21]}, ["temperature_c:wrong_type"]),
        ({"temperature_c": "70 °F"}, ["temperature_c:unknown_unit"]),
        ({"temperature_c": "warm"}, ["temperature_c:wrong_type"]),
        ({"temperature_c": 10**400}, ["temperature_c:out_of_range"]),
        ({"model": "a\0b"}, ["model:encoding"]),
        ({"origin": "test"}, ["origin:unknown_word"]),
        ({"evidence": [{"kind": "photo"}]}, ["evidence:wrong_type"]),
    ],
)
def test_what_was_dropped_is_said_with_its_reason(fields: dict[str, Any], said: list[str]) -> None:
    event, faults = read(full_with(**fields))
    assert faults == said
    name = next(iter(fields))
    default = {field.name: field.default for field in msgspec.structs.fields(EnvironmentSampled)}[name]
    assert getattr(event, name) == default


def test_of_two_alarms_the_one_that_is_true_counts() -> None:
    twice = full_with()[:-1] + b', "alarm": false}'
    event, faults = read(twice)
    assert isinstance(event, EnvironmentSampled)
    assert (event.alarm, faults) == (True, ["alarm:twice"])


@pytest.mark.parametrize("colon", [": ", " : ", "\t:", "\n:", ":"])
def test_a_key_that_is_there_twice_is_found_however_it_is_written(colon: str) -> None:
    payload = wire(smoke()).replace(b'"alarm":true', f'"alarm"{colon}true,"note":"a \\": b","alarm": false'.encode())
    assert read(payload)[1] == ["alarm:twice"]


def test_of_two_readings_under_one_key_none_is_taken() -> None:
    event, faults = read(full_with()[:-1] + b', "temperature_c": 90}')
    assert isinstance(event, EnvironmentSampled)
    assert (event.temperature_c, event.alarm, faults) == (None, True, ["temperature_c:twice"])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xef\xbb\xbf" + full_with(), DropReason.ENCODING),
        (full_with().decode().encode("utf-16"), DropReason.ENCODING),
        (full_with().decode().encode("utf-16-le"), DropReason.ENCODING),
        (full_with(name="NAME").replace(b"NAME", "张三丰厨房".encode("gb18030")), DropReason.ENCODING),
        (full_with(name="NAME").replace(b"NAME", "张\\".encode("gbk") + b"\xe5\xbc"), DropReason.ENCODING),
        (full_with() + b"\0\0", None),
        (full_with() + b"}\r\nGET /", DropReason.TRAILING),
        (full_with() + full_with(), DropReason.TRAILING),
        (full_with().replace(b", ", b",, ").replace(b"}", b",}"), None),
    ],
    ids=["BOM", "UTF-16", "UTF-16 without a mark", "GBK", "broken", "zeros", "garbage", "two in one", "commas"],
)
def test_what_is_wrong_around_the_fields_costs_none_of_them(payload: bytes, reason: DropReason | None) -> None:
    event, faults = read(payload)
    assert event == read(full_with())[0]
    assert faults == ([f"message:{reason}"] if reason else [])


def test_an_alarm_that_is_null_leaves_the_readings() -> None:
    event, faults = read(full_with(alarm=None))
    assert isinstance(event, EnvironmentSampled)
    assert (event.alarm, event.smoke_pct_m, faults) == (False, 12.5, ["alarm:null"])


@pytest.mark.parametrize("alarm", ["null", '"maybe"', "NaN", "[]", "2"])
def test_an_alarm_that_cannot_be_read_is_never_taken_for_calm(alarm: str) -> None:
    bare = wire(smoke()).replace(b"true", alarm.encode())
    with pytest.raises(Rejected):
        decode(SENSOR, bare, "run-1")


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_a_message_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(Rejected) as caught:
        decode(SENSOR, full_with()[:-cut], "run-1")
    assert caught.value.reason is RejectReason.NOT_JSON


def test_site_and_device_are_those_of_the_topic_where_the_message_gives_none() -> None:
    for field in ("site_id", "source_id"):
        for bad in (None, 7, "x" * 200):
            assert read(full_with(**{field: bad}))[0] == read(full_with())[0]


def test_an_id_that_is_none_is_made_of_the_devices_number() -> None:
    for bad in ("", "a\nb", "x" * 81, None, [1]):
        assert read(full_with(event_id=bad))[0].event_id == "smoke-1-7"
    assert read(full_with(event_id=123))[0].event_id == "123"


@pytest.mark.parametrize("seq", ["7", " 7 ", 7.0, "7.0"])
def test_a_message_is_named_by_the_number_that_was_read(seq: object) -> None:
    said = {name: value for name, value in FULL.items() if name != "event_id"}
    for payload in ({**said, "seq": seq}, {**said, "seq": seq, "event_id": ""}):
        names = {decode(SENSOR, json.dumps(payload).encode(), run).event_id for run in ("run-1", "run-2")}
        assert names == {"smoke-1-7"}
    negative = json.dumps({**said, "seq": "-7"}).encode()
    assert read(negative)[0].event_id == "run-1"


def test_a_row_is_named_by_what_was_read_of_it() -> None:
    said = json.loads(wire(row(4)))
    del said["event_id"]
    assert read(json.dumps({**said, "score": 0.5, "model": 7}).encode(), BOX)[0] == (
        msgspec.structs.replace(row(4), event_id="sp1-live-4", score=0.5)
    )


@pytest.mark.parametrize("bad", ["x" * 81, "a\nb", [1], {"n": 1}, 1.5])
def test_an_id_that_is_none_still_tells_messages_apart(bad: object) -> None:
    said = {name: value for name, value in FULL.items() if name != "seq"}
    names = {decode(SENSOR, json.dumps({**said, "event_id": bad}).encode(), run).event_id for run in ("run-1", "run-2")}
    assert len(names) == 1
    assert names != {decode(SENSOR, json.dumps({**said, "event_id": [2]}).encode(), "run-1").event_id}


def test_a_meters_side_values_cost_no_reading_but_no_watts_are_no_reading() -> None:
    event, faults = read(json.dumps({**json.loads(wire(power())), "power_factor": 60.0}).encode(), METER)
    assert isinstance(event, PowerSampled)
    assert (event.power_w, event.power_factor, faults) == (120.0, None, ["power_factor:out_of_range"])
    with pytest.raises(Rejected):
        decode(METER, wire(power()).replace(b"120.0", b"NaN"), "run-1")


def test_a_grant_in_words_nobody_knows_is_still_a_grant() -> None:
    said = {**json.loads(wire(door())), "kind": "access_attempted", "credential": "palm", "granted": 1}
    event, faults = read(json.dumps({**said, "direction": "sideways", "quality": 1.7}).encode(), GATE)
    assert isinstance(event, AccessAttempted)
    assert (event.granted, event.credential, event.direction) == (True, Credential.NONE, Direction.UNKNOWN)
    assert sorted(faults) == ["credential:unknown_word", "direction:unknown_word", "quality:out_of_range"]


def test_of_gauges_and_evidence_the_good_ones_stay() -> None:
    said = {**json.loads(wire(reported())), "gauges": {"frames_per_s": 20, "load": "high", "t": None}}
    event, faults = read(json.dumps(said).encode(), GATE)
    assert msgspec.to_builtins(event)["gauges"] == {"frames_per_s": 20.0}
    assert faults == ["gauges:null"]
    many, faults = read(json.dumps({**said, "gauges": {str(n): n for n in range(65)}}).encode(), GATE)
    assert len(msgspec.to_builtins(many)["gauges"]) == 64
    assert faults == ["gauges:too_many"]


def test_a_fall_whose_measures_are_no_numbers_is_still_a_fall() -> None:
    fall = ObjectFell(
        event_id="f",
        site_id="s1",
        source_id="c1",
        place_id="lift-1",
        at_ms=NOW_MS,
        track_id=3,
        started_ms=NOW_MS - 900,
        duration_ms=900,
        calibrated=True,
        spool=row(1).spool,
    )
    said = {**json.loads(wire(fall)), "started_ms": None, "duration_ms": None, "drop_m": "far", "fit_error_px": None}
    event, faults = read(json.dumps(said).encode(), BOX)
    assert event == msgspec.structs.replace(fall, started_ms=NOW_MS, duration_ms=0)
    assert len(faults) == 4


def test_the_row_of_a_message_that_is_no_json_is_recognised() -> None:
    payload = wire(row(5)).replace(b'"label":"e_bike"', b'"label":nan') + b"trailing"
    mark = spool_mark(payload)
    assert mark is not None
    assert mark.seq == 5
