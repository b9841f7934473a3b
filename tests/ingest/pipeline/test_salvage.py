"""A message is as good as its good parts: one bad value costs itself, never the alarm beside it."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DropReason, Rejected, RejectReason
from contracts.events import (
    AccessAttempted,
    Credential,
    DeviceEvent,
    Direction,
    EnvironmentSampled,
    ObjectFell,
    PowerSampled,
)
from contracts.names import parse_topic
from ingest.pipeline.decode import MAX_SCANNED_BYTES, decode, mentions_life_safety, spool_mark
from ingest.pipeline.salvage import FieldFault
from tests.ingest.builders import NOW_MS, door, power, reported, row, smoke, wire

SENSOR = parse_topic("linli/v1/s1/sensor/smoke-1/evt")
METER = parse_topic("linli/v1/s1/meter/m1/tele")
GATE = parse_topic("linli/v1/s1/gate/g1/evt")
BOX = parse_topic("linli/v1/s1/edge/b1/evt")
FULL: dict[str, Any] = {
    **json.loads(wire(smoke())),
    "seq": 7,
    "stored": False,
    "origin": "live",
    "model": "m@1",
    "smoke_pct_m": 12.5,
    "temperature_c": 41.0,
    "co_ppm": 3.0,
    "humidity_pct": 50.0,
}
"""A sensor's message that says everything it may."""
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


def _read(payload: bytes, topic: Any = SENSOR) -> tuple[DeviceEvent, list[str]]:
    faults: list[FieldFault] = []
    event = decode(topic, payload, "run-1", faults)
    return event, [str(fault) for fault in faults]


def _with(**fields: Any) -> bytes:
    return json.dumps({**FULL, **fields}).encode()


def _with_raw(field: str, text: str) -> bytes:
    return _with(**{field: "RAW"}).replace(b'"RAW"', text.encode("utf-8", "surrogatepass"))


@given(st.sampled_from(sorted(set(FULL) - NEEDED)), st.one_of(WRONG, st.sampled_from(RAW)))
def test_whatever_one_field_beside_it_says_the_alarm_survives(field: str, text: str) -> None:
    event, _ = _read(_with_raw(field, text))
    assert isinstance(event, EnvironmentSampled)
    assert event.alarm
    kept = msgspec.to_builtins(event)
    others = {name for name in FULL if name not in {field, "stored", "origin", "event_id"}}
    assert {name: kept.get(name) for name in others} == {name: FULL[name] for name in others}


@given(st.sets(st.sampled_from(sorted(set(FULL) - NEEDED)), min_size=1), st.data())
def test_however_many_fields_are_wrong_the_alarm_survives(fields: set[str], data: st.DataObject) -> None:
    payload = _with(**dict.fromkeys(fields, "RAW"))
    for _ in fields:
        payload = payload.replace(b'"RAW"', data.draw(st.sampled_from(RAW)).encode("utf-8", "surrogatepass"), 1)
    event, faults = _read(payload)
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
    event, faults = _read(_with(**fields))
    assert faults == said
    name = next(iter(fields))
    default = {field.name: field.default for field in msgspec.structs.fields(EnvironmentSampled)}[name]
    assert getattr(event, name) == default


@pytest.mark.parametrize("word", ["on", "ON", "true", "True", "1", 1, 1.0, "yes", " alarm "])
def test_an_alarm_in_another_spelling_is_one(word: object) -> None:
    event, faults = _read(_with(alarm=word))
    assert (event, faults) == (_read(_with())[0], [])


SPELLED = ("Alarm", "ALARM", "alarm ", " alarm", "aLaRm", "_alarm", "ａｌａｒｍ", "al\\u0061rm", "Al\\u0061rm")


@pytest.mark.parametrize("key", SPELLED)
@pytest.mark.parametrize("value", ["true", "1", '"ON"'])
def test_an_alarm_under_its_name_in_another_spelling_is_one(key: str, value: str) -> None:
    for payload in (wire(smoke()), _with()):
        spelled = payload.replace(b'"alarm":true', b'"alarm": true').replace(
            b'"alarm": true', f'"{key}": {value}'.encode()
        )
        assert _read(spelled)[0] == _read(payload)[0]


def test_beside_an_alarm_that_is_false_one_in_another_spelling_counts() -> None:
    for more in (b'"Alarm": true', b'"Alarm": false, "ALARM": true'):
        event, faults = _read(CALM[:-1] + b", " + more + b"}")
        assert isinstance(event, EnvironmentSampled)
        assert (event.alarm, faults) == (True, ["alarm:twice"])


def test_every_field_is_found_in_another_spelling() -> None:
    said = {
        re.sub("_(.)", lambda found: found[1].upper(), name): value for name, value in FULL.items() if value != "m@1"
    }
    event, faults = _read(json.dumps(said).encode())
    assert (event, faults) == (msgspec.structs.replace(_read(_with())[0], model=None), [])
    shouted = json.loads(wire(power(voltage_v=231.0)))
    assert _read(json.dumps({k.upper(): v for k, v in shouted.items()}).encode(), METER) == (power(voltage_v=231.0), [])


def test_a_makers_own_keys_are_none_of_ours() -> None:
    for key, value in {"V": 230, "Model": "SD-119", "Origin": "factory", "Evidence": 3, "Spool": "x", "A": 1.5}.items():
        assert _read(_with()[:-1] + f', "{key}": {json.dumps(value)}}}'.encode()) == (_read(_with())[0], [])
    two = json.dumps({**json.loads(wire(power())), "Voltage_V": 231.0, "VOLTAGE_V": 229.0}).encode()
    assert _read(two, METER) == (power(), ["voltage_v:twice"])


@pytest.mark.parametrize("kind", ["Environment_Sampled", "environment_sampled ", "ENVIRONMENT_SAMPLED"])
def test_a_kind_in_another_spelling_is_that_kind(kind: str) -> None:
    assert _read(_with(kind=kind))[0] == _read(_with())[0]


NOTHING: tuple[dict[str, Any], ...] = (
    {},
    {"smoke": True},
    {"state": "ALARM"},
    {"data": {"alarm": True}},
    {"alarm_state": 1},
    {"battery_pct": 80},
)


@pytest.mark.parametrize("said", NOTHING, ids=str)
def test_a_sensor_that_says_neither_an_alarm_nor_a_reading_is_not_calm(said: dict[str, Any]) -> None:
    bare = {name: value for name, value in json.loads(wire(smoke())).items() if name != "alarm"}
    for fields in ({**bare, **said}, {**bare, **said, "at_ms": "noon"}):
        with pytest.raises(Rejected):
            _read(json.dumps(fields).encode())
        for enough in ({"humidity_pct": 40}, {"alarm": False}):
            event, faults = _read(json.dumps({**fields, **enough}).encode())
            assert isinstance(event, EnvironmentSampled)
            assert (event.alarm, [fault for fault in faults if "at_ms" not in fault]) == (False, [])


@pytest.mark.parametrize(("text", "value"), [("21.5", 21.5), ("21.5 °C", 21.5), ("+5", 5.0), ("-3", -3.0)])
def test_a_number_in_quotes_is_a_number(text: str, value: float) -> None:
    event, faults = _read(_with(temperature_c=text))
    assert isinstance(event, EnvironmentSampled)
    assert (event.temperature_c, faults) == (value, [])


def test_of_two_alarms_the_one_that_is_true_counts() -> None:
    twice = _with()[:-1] + b', "alarm": false}'
    event, faults = _read(twice)
    assert isinstance(event, EnvironmentSampled)
    assert (event.alarm, faults) == (True, ["alarm:twice"])


@pytest.mark.parametrize("colon", [": ", " : ", "\t:", "\n:", ":"])
def test_a_key_that_is_there_twice_is_found_however_it_is_written(colon: str) -> None:
    payload = wire(smoke()).replace(b'"alarm":true', f'"alarm"{colon}true,"note":"a \\": b","alarm": false'.encode())
    assert _read(payload)[1] == ["alarm:twice"]


def test_of_two_readings_under_one_key_none_is_taken() -> None:
    event, faults = _read(_with()[:-1] + b', "temperature_c": 90}')
    assert isinstance(event, EnvironmentSampled)
    assert (event.temperature_c, event.alarm, faults) == (None, True, ["temperature_c:twice"])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xef\xbb\xbf" + _with(), DropReason.ENCODING),
        (_with().decode().encode("utf-16"), DropReason.ENCODING),
        (_with().decode().encode("utf-16-le"), DropReason.ENCODING),
        (_with(name="NAME").replace(b"NAME", "张三丰厨房".encode("gb18030")), DropReason.ENCODING),
        (_with(name="NAME").replace(b"NAME", "张\\".encode("gbk") + b"\xe5\xbc"), DropReason.ENCODING),
        (_with() + b"\0\0", None),
        (_with() + b"}\r\nGET /", DropReason.TRAILING),
        (_with() + _with(), DropReason.TRAILING),
        (_with().replace(b", ", b",, ").replace(b"}", b",}"), None),
    ],
    ids=["BOM", "UTF-16", "UTF-16 without a mark", "GBK", "broken", "zeros", "garbage", "two in one", "commas"],
)
def test_what_is_wrong_around_the_fields_costs_none_of_them(payload: bytes, reason: DropReason | None) -> None:
    event, faults = _read(payload)
    assert event == _read(_with())[0]
    assert faults == ([f"message:{reason}"] if reason else [])


CALM = json.dumps({**FULL, "event_id": "calm", "alarm": False}).encode()
FIRE = json.dumps({**json.loads(wire(smoke("fire"))), "alarm": True}).encode()
JOINS = (b"\n", b"\r\n", b"", b",", b" , ", b"\0", b";", b"}", b"\n--\n")


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("calm", [CALM, CALM.replace(b'"alarm": false, ', b""), b'{"id": 7}', b"{}"])
def test_an_alarm_behind_another_object_counts(calm: bytes, join: bytes) -> None:
    for payload in (calm + join + FIRE, FIRE + join + calm, calm + join + calm + join + FIRE):
        event, faults = _read(payload)
        assert (event, faults) == (smoke("fire"), ["message:trailing"])


def test_an_alarm_in_a_list_of_objects_counts() -> None:
    assert _read(b"[" + CALM + b", " + FIRE + b"]")[0] == smoke("fire")


@pytest.mark.parametrize("join", [b"}, ", b"} ", b"},}, ", b"}\n,"])
def test_an_alarm_behind_a_brace_too_many_counts(join: bytes) -> None:
    bare = CALM.replace(b'"alarm": false, ', b"")
    for calm in (bare, CALM):
        event, faults = _read(calm[:-1] + join + b'"alarm": true}')
        assert isinstance(event, EnvironmentSampled)
        assert (event.alarm, event.temperature_c) == (True, 41.0)
        assert "message:trailing" in faults


LOST = (
    FIRE[:-1],
    FIRE[: FIRE.index(b"true") + 2],
    b'{"kind": "environment_sampled"',
    FIRE.replace(b"true", b'"maybe"'),
)


@pytest.mark.parametrize("lost", LOST)
def test_what_may_be_an_alarm_behind_another_object_is_no_calm(lost: bytes) -> None:
    event, faults = _read(CALM + b"\n" + lost)
    assert isinstance(event, EnvironmentSampled)
    assert (event.alarm, event.temperature_c, faults) == (False, 41.0, ["message:trailing", "alarm:trailing"])
    with pytest.raises(Rejected):
        _read(json.dumps({**json.loads(wire(smoke())), "alarm": False}).encode() + lost)


def test_of_rows_in_one_message_the_first_is_the_message() -> None:
    event, faults = _read(wire(row(1)) + b"\n" + wire(row(2)), BOX)
    assert (event, faults) == (row(1), ["message:trailing"])


def test_of_an_alarm_that_is_there_twice_one_that_cannot_be_read_is_no_calm() -> None:
    event, faults = _read(CALM[:-1] + b', "alarm": "maybe"}')
    assert isinstance(event, EnvironmentSampled)
    assert (event.alarm, faults) == (False, ["alarm:unknown_word"])
    assert _read(CALM[:-1] + b', "alarm": "off"}')[1] == ["alarm:twice"]


def test_an_alarm_that_is_null_leaves_the_readings() -> None:
    event, faults = _read(_with(alarm=None))
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
        decode(SENSOR, _with()[:-cut], "run-1")
    assert caught.value.reason is RejectReason.NOT_JSON


def test_site_and_device_are_those_of_the_topic_where_the_message_gives_none() -> None:
    for field in ("site_id", "source_id"):
        for bad in (None, 7, "x" * 200):
            assert _read(_with(**{field: bad}))[0] == _read(_with())[0]


def test_an_id_that_is_none_is_made_of_the_devices_number() -> None:
    for bad in ("", "a\nb", "x" * 81, None, [1]):
        assert _read(_with(event_id=bad))[0].event_id == "smoke-1-7"
    assert _read(_with(event_id=123))[0].event_id == "123"


@pytest.mark.parametrize("seq", ["7", " 7 ", 7.0, "7.0"])
def test_a_message_is_named_by_the_number_that_was_read(seq: object) -> None:
    said = {name: value for name, value in FULL.items() if name != "event_id"}
    for payload in ({**said, "seq": seq}, {**said, "seq": seq, "event_id": ""}):
        names = {decode(SENSOR, json.dumps(payload).encode(), run).event_id for run in ("run-1", "run-2")}
        assert names == {"smoke-1-7"}
    negative = json.dumps({**said, "seq": "-7"}).encode()
    assert _read(negative)[0].event_id == "run-1"


def test_a_row_is_named_by_what_was_read_of_it() -> None:
    said = json.loads(wire(row(4)))
    del said["event_id"]
    assert _read(json.dumps({**said, "score": 0.5, "model": 7}).encode(), BOX)[0] == (
        msgspec.structs.replace(row(4), event_id="sp1-live-4", score=0.5)
    )


@pytest.mark.parametrize("bad", ["x" * 81, "a\nb", [1], {"n": 1}, 1.5])
def test_an_id_that_is_none_still_tells_messages_apart(bad: object) -> None:
    said = {name: value for name, value in FULL.items() if name != "seq"}
    names = {decode(SENSOR, json.dumps({**said, "event_id": bad}).encode(), run).event_id for run in ("run-1", "run-2")}
    assert len(names) == 1
    assert names != {decode(SENSOR, json.dumps({**said, "event_id": [2]}).encode(), "run-1").event_id}


def test_a_meters_side_values_cost_no_reading_but_no_watts_are_no_reading() -> None:
    event, faults = _read(json.dumps({**json.loads(wire(power())), "power_factor": 60.0}).encode(), METER)
    assert isinstance(event, PowerSampled)
    assert (event.power_w, event.power_factor, faults) == (120.0, None, ["power_factor:out_of_range"])
    with pytest.raises(Rejected):
        decode(METER, wire(power()).replace(b"120.0", b"NaN"), "run-1")


def test_a_grant_in_words_nobody_knows_is_still_a_grant() -> None:
    said = {**json.loads(wire(door())), "kind": "access_attempted", "credential": "palm", "granted": 1}
    event, faults = _read(json.dumps({**said, "direction": "sideways", "quality": 1.7}).encode(), GATE)
    assert isinstance(event, AccessAttempted)
    assert (event.granted, event.credential, event.direction) == (True, Credential.NONE, Direction.UNKNOWN)
    assert sorted(faults) == ["credential:unknown_word", "direction:unknown_word", "quality:out_of_range"]


def test_of_gauges_and_evidence_the_good_ones_stay() -> None:
    said = {**json.loads(wire(reported())), "gauges": {"frames_per_s": 20, "load": "high", "t": None}}
    event, faults = _read(json.dumps(said).encode(), GATE)
    assert msgspec.to_builtins(event)["gauges"] == {"frames_per_s": 20.0}
    assert faults == ["gauges:null"]
    many, faults = _read(json.dumps({**said, "gauges": {str(n): n for n in range(65)}}).encode(), GATE)
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
    event, faults = _read(json.dumps(said).encode(), BOX)
    assert event == msgspec.structs.replace(fall, started_ms=NOW_MS, duration_ms=0)
    assert len(faults) == 4


def test_the_row_of_a_message_that_is_no_json_is_recognised() -> None:
    payload = wire(row(5)).replace(b'"label":"e_bike"', b'"label":nan') + b"trailing"
    mark = spool_mark(payload)
    assert mark is not None
    assert mark.seq == 5


def _nested(levels: int, open_: str = '{"a":', close: str = "}") -> bytes:
    return (open_ * levels + "1" + close * levels).encode()


@pytest.mark.parametrize("levels", [17, 40, 5_000])
@pytest.mark.parametrize(("opening", "close"), [('{"a":', "}"), ("[", "]"), ('{"}":["]",', "]}")])
def test_an_alarm_beside_a_makers_deep_field_is_found(levels: int, opening: str, close: str) -> None:
    deep = _nested(levels, opening, close)
    for payload in (_with()[:-1] + b', "raw": ' + deep + b"}", b'{"raw": ' + deep + b", " + _with()[1:]):
        assert _read(payload) == _read(_with())
    with pytest.raises(Rejected) as caught:
        decode(SENSOR, _with()[:-1] + b', "raw": ' + deep[:-1], "run-1")
    assert caught.value.reason is RejectReason.TOO_DEEP


@pytest.mark.parametrize("size", [300_000, 900_000])
def test_an_alarm_beside_a_makers_picture_is_found(size: int) -> None:
    picture = b'"picture": "' + b"A" * size + b'"'
    for payload in (_with()[:-1] + b", " + picture + b"}", b"{" + picture + b", " + _with()[1:]):
        assert _read(payload) == _read(_with())
    with pytest.raises(Rejected) as caught:
        decode(SENSOR, _with()[:-1] + b", " + picture, "run-1")
    assert caught.value.reason is RejectReason.TOO_LARGE


def test_what_is_scanned_for_an_alarm_is_bounded_and_only_a_sensors() -> None:
    picture = b', "picture": "' + b"A" * MAX_SCANNED_BYTES + b'"}'
    gate = json.dumps({**json.loads(wire(door())), "picture": "A" * 300_000}).encode()
    for topic, payload in ((SENSOR, _with()[:-1] + picture), (GATE, gate)):
        with pytest.raises(Rejected) as caught:
            decode(topic, payload, "run-1")
        assert caught.value.reason is RejectReason.TOO_LARGE
    assert mentions_life_safety(b'{"kind":"object_fell"' + picture)


def test_a_row_that_is_too_deep_is_still_recognised() -> None:
    payload = wire(row(5))[:-1] + b',"raw":' + _nested(40) + b"}"
    assert _read(payload, BOX)[0] == row(5)
    mark = spool_mark(payload.replace(b'"e_bike"', b"7"))
    assert mark is not None
    assert mark.seq == 5


def test_hostile_texts_take_time_in_proportion_to_their_length() -> None:
    for text in (
        b'{"a" x' + b'\\"' * 100_000,
        b'{"a":' + b'"x" ' * 60_000,
        b'{"kind":' + b"\\" * 200_000,
        b"{" + b'"' * 99_999,
        b'{"a":' * 200_000,
        b'{"a":' * 17 + b'"\\' * 400_000,
        b'{"kind":"x"}' + b"{}" * 400_000,
    ):
        with pytest.raises(Rejected):
            decode(SENSOR, text, "run-1")
