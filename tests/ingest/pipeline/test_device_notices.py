"""What is wrong with a configured device's words is noticed: once, with its reason, until it is right again."""

from __future__ import annotations

import msgspec
import pytest

from contracts.events import AccessAttempted, Credential, DeviceConfigured, EnvironmentSampled, Event, ObjectObserved
from contracts.events.identity import is_same_message
from contracts.places import PlaceKind
from ingest.pipeline.acks import PendingPuback
from ingest.pipeline.device_notices import KEPT_MS, STANDS_MS
from ingest.pipeline.pipeline import Accepted, Arrival, IngestPipeline, Refused, Skipped
from ingest.settings import ShardSettings
from tests.ingest.builders import NOW_MS, community, door, place, power, reported, row, smoke, wire

SENSOR, METER = "linli/v1/s1/sensor/smoke-1/evt", "linli/v1/s1/meter/m1/tele"
GATE, BOX = "linli/v1/s1/gate/g1/evt", "linli/v1/s1/edge/b1/evt"
MINUTE_MS = 60_000


def _pipeline() -> IngestPipeline:
    pipeline = IngestPipeline(ShardSettings(mqtt_url="mqtt://x", readings_burst=1e6), "run")
    for record in community():
        pipeline.admission.apply_config(record)
    return pipeline


def _take(pipeline: IngestPipeline, payload: bytes, topic: str = SENSOR, now_ms: int = NOW_MS) -> Accepted | Refused:
    arrival = Arrival(topic, payload, 1, 7, retain=False, connection=1)
    outcome = pipeline.take(arrival, PendingPuback(7, 1), now_ms, timely=True)
    assert isinstance(outcome, Accepted | Refused)
    return outcome


def _accepted(pipeline: IngestPipeline, event: Event, topic: str = GATE) -> Event:
    outcome = _take(pipeline, wire(event), topic)
    assert isinstance(outcome, Accepted)
    return outcome.event


def _noticed(pipeline: IngestPipeline, now_ms: int = NOW_MS) -> list[tuple[str, str, str, int, bool]]:
    found = pipeline.notices.current(now_ms, pipeline.admission.device)
    return [(one.device_id, one.code.value, one.detail, one.count, one.life_safety) for one in found]


def test_a_refused_message_of_a_sensor_stands_until_one_can_be_read() -> None:
    pipeline = _pipeline()
    for payload in (b"\x00\x01", wire(smoke())[:40]):
        assert isinstance(_take(pipeline, payload), Refused)
    assert _noticed(pipeline) == [("smoke-1", "unreadable", "not_json", 2, True)]
    _take(pipeline, wire(reported(source_id="smoke-1")))
    assert _noticed(pipeline, NOW_MS + 2 * KEPT_MS) == [("smoke-1", "unreadable", "not_json", 2, True)]
    pipeline.notices.kept(NOW_MS)
    _take(pipeline, wire(smoke(alarm=False)))
    assert _noticed(pipeline, NOW_MS + STANDS_MS) == []


def test_an_alarm_that_was_lost_is_told_for_an_hour_whatever_follows_it() -> None:
    pipeline = _pipeline()
    lost = ("smoke-1", "unreadable", "not_json", 1, True)
    _take(pipeline, b"rubbish")
    _take(pipeline, wire(smoke(alarm=False, temperature_c=21.0)), now_ms=NOW_MS + 1_000)
    kept_ms = NOW_MS + 2 * STANDS_MS  # so long the inventory was away
    assert _noticed(pipeline, kept_ms) == [lost]
    pipeline.notices.kept(kept_ms)
    assert _noticed(pipeline, kept_ms + STANDS_MS - 1) == [lost]
    assert _noticed(pipeline, kept_ms + STANDS_MS) == []


def test_another_lost_alarm_begins_the_hour_again() -> None:
    pipeline = _pipeline()
    for minute in (0, 30):
        now_ms = NOW_MS + minute * MINUTE_MS
        _take(pipeline, b"rubbish", now_ms=now_ms)
        pipeline.notices.kept(now_ms)
        _take(pipeline, wire(smoke(alarm=False, temperature_c=21.0)), now_ms=now_ms + 1)
    assert _noticed(pipeline, NOW_MS + STANDS_MS) == [("smoke-1", "unreadable", "not_json", 2, True)]
    assert _noticed(pipeline, NOW_MS + STANDS_MS + 30 * MINUTE_MS) == []


def test_what_may_have_been_no_alarm_ends_with_what_can_be_read() -> None:
    pipeline = _pipeline()
    _take(pipeline, b"rubbish", GATE)
    assert _noticed(pipeline) == [("g1", "unreadable", "not_json", 1, False)]
    _take(pipeline, wire(door()), GATE)
    assert _noticed(pipeline) == []


def test_an_alarm_that_cannot_be_read_stands_beside_the_readings_that_can() -> None:
    pipeline = _pipeline()
    outcome = _take(pipeline, wire(smoke()).replace(b"true", b'"maybe","temperature_c":22'))
    assert isinstance(outcome, Accepted)
    assert _noticed(pipeline) == [
        ("smoke-1", "faulty", "alarm:unknown_word", 1, False),
        ("smoke-1", "unreadable", "alarm:unknown_word", 1, True),
    ]


def test_a_sensor_that_says_nothing_is_noticed_and_ends_no_notice() -> None:
    pipeline = _pipeline()
    bare = wire(smoke()).replace(b',"alarm":true', b"")
    assert isinstance(_take(pipeline, bare), Refused)
    assert _noticed(pipeline) == [("smoke-1", "unreadable", "wrong_type", 1, True)]


OF_SMOKE_1 = {
    "linli/v1/s1/sensor/Smoke-1/evt": "bad_id",
    "linli/v1/S1/sensor/smoke-1/evt": "bad_id",
    "linli/v1/s1/sensor/smoke-1 /tele": "bad_id",
    "linli/v1/s1/Sensor/smoke-1/evt": "unknown_topic",
    "/linli/v1/s1/sensor/smoke-1/evt/": "unknown_topic",
    "Linli/V1/S1/SENSOR/SMOKE-1/EVT": "unknown_topic",
}


@pytest.mark.parametrize(("topic", "reason"), OF_SMOKE_1.items())
def test_a_sensor_that_speaks_beside_its_topic_is_noticed(topic: str, reason: str) -> None:
    pipeline = _pipeline()
    assert isinstance(_take(pipeline, wire(smoke()), topic), Refused)
    assert _noticed(pipeline) == [("smoke-1", "unreadable", reason, 1, True)]


@pytest.mark.parametrize("name", ["aa:bb:cc", "Smoke-9", "烟感-9", "x" * 60])
def test_a_sensor_under_an_id_that_is_none_is_noticed_by_it(name: str) -> None:
    pipeline = _pipeline()
    _take(pipeline, wire(smoke()), f"linli/v1/s1/sensor/{name}/evt")
    shown = name if len(name) <= 40 else f"{name[:39]}…"
    assert _noticed(pipeline, NOW_MS + KEPT_MS) == [(shown, "unreadable", "bad_id", 1, True)]
    after = _pipeline()
    after.notices.load(pipeline.notices.current(NOW_MS, pipeline.admission.device))
    assert _noticed(after) == _noticed(pipeline)
    assert _noticed(pipeline, NOW_MS + KEPT_MS + 1) == []


def test_of_others_beside_our_topics_only_the_pending_list_tells() -> None:
    pipeline = _pipeline()
    for topic in ("s1/gate/G1/evt", "s9/sensor/Smoke-1/evt", "s1/sensor/Smoke-1/cmd", "s1/sensor/Smoke/evt/more"):
        _take(pipeline, wire(door()), f"linli/v1/{topic}")
    retained = Arrival("linli/v1/s1/sensor/Smoke-1/evt", b"x", 1, 7, retain=True, connection=1)
    pipeline.take(retained, PendingPuback(7, 1), NOW_MS, timely=True)
    assert [one for one in _noticed(pipeline) if one[4]] == []
    assert len(pipeline.admission.pending_topics()) == 5


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        (GATE, b"rubbish", [("g1", "unreadable", "not_json", 1, False)]),
        (GATE.replace("g1", "g9"), b"rubbish", []),
        (BOX, b'{"kind":"object_fell"', [("b1", "unreadable", "not_json", 1, True)]),
    ],
    ids=["a gate's", "a stranger's", "a box's fall"],
)
def test_only_what_may_have_been_an_alarm_is_one_for_operators(topic: str, payload: bytes, expected: object) -> None:
    pipeline = _pipeline()
    _take(pipeline, payload, topic)
    assert _noticed(pipeline) == expected


def test_a_retained_message_that_cannot_be_read_is_of_unknown_age_and_alarms_nobody() -> None:
    pipeline = _pipeline()
    arrival = Arrival(SENSOR, b"rubbish", 1, 7, retain=True, connection=1)
    assert isinstance(pipeline.take(arrival, PendingPuback(7, 1), NOW_MS, timely=True), Skipped)
    assert _noticed(pipeline) == []


def test_dropped_fields_are_noticed_for_a_day_and_gone_with_the_device() -> None:
    pipeline = _pipeline()
    outcome = _take(pipeline, wire(smoke()).replace(b"true", b'true,"temperature_c":-327.68'))
    assert isinstance(outcome, Accepted)
    assert [str(fault) for fault in outcome.faults] == ["temperature_c:out_of_range"]
    assert _noticed(pipeline, NOW_MS + KEPT_MS) == [("smoke-1", "faulty", "temperature_c:out_of_range", 1, False)]
    assert pipeline.notices.current(NOW_MS, lambda _site, _device: None) == []
    assert _noticed(pipeline) == []


def test_a_meter_that_only_gives_back_has_its_clamp_reversed() -> None:
    pipeline = _pipeline()
    for minute in range(20):
        now_ms = NOW_MS + minute * MINUTE_MS
        _take(pipeline, wire(power(f"p{minute}", at_ms=now_ms, power_w=-40.0 - minute)), METER, now_ms)
        assert bool(_noticed(pipeline)) == (minute >= 10)
    assert _noticed(pipeline, NOW_MS + 2 * KEPT_MS) == [("m1", "negative_power", "-59 W", 10, False)]
    _take(pipeline, wire(power("p", at_ms=NOW_MS + 21 * MINUTE_MS, power_w=40.0)), METER)
    assert _noticed(pipeline) == []


def test_a_meter_that_feeds_in_by_day_or_rests_is_none_of_them() -> None:
    pipeline = _pipeline()
    for minute in range(60):
        watts, now_ms = 80.0 if minute % 9 == 0 else -2_000.0, NOW_MS + minute * MINUTE_MS
        _take(pipeline, wire(power(f"p{minute}", at_ms=now_ms, power_w=watts)), METER, now_ms)
        _take(pipeline, wire(power(f"q{minute}", at_ms=now_ms, power_w=-1.0)), METER, now_ms)
    assert _noticed(pipeline) == []


def test_the_inventorys_place_wins_over_the_devices() -> None:
    pipeline = _pipeline()
    pipeline.admission.apply_config(place("flat-9", PlaceKind.ROOM))
    moved = msgspec.structs.replace(smoke("m"), place_id="flat-9")
    event = _accepted(pipeline, moved, SENSOR)
    assert isinstance(event, EnvironmentSampled)
    assert (event.place_id, event.alarm) == ("hall-1", True)
    assert _noticed(pipeline) == [("smoke-1", "other_place", "flat-9 for hall-1", 1, False)]


def test_a_message_that_comes_again_after_its_device_was_moved_is_the_same() -> None:
    pipeline = _pipeline()
    first = _accepted(pipeline, smoke("m"), SENSOR)
    (sensor,) = (one for one in community() if isinstance(one, DeviceConfigured) and one.device_id == "smoke-1")
    pipeline.admission.apply_config(msgspec.structs.replace(sensor, place_id="flat-9"))
    again = _accepted(pipeline, smoke("m"), SENSOR)
    assert (first.place_id, again.place_id) == ("hall-1", "flat-9")
    assert is_same_message(first, again)


@pytest.mark.parametrize("said", ["old-flat-999", "No Place", "", None, 7])
def test_an_unknown_place_becomes_the_inventorys_and_is_listed(said: object) -> None:
    pipeline = _pipeline()
    payload = msgspec.json.encode(msgspec.to_builtins(smoke()) | {"place_id": said})
    outcome = _take(pipeline, payload)
    assert isinstance(outcome, Accepted)
    assert outcome.event.place_id == "hall-1"
    codes = [code for _, code, _, _, _ in _noticed(pipeline)]
    assert codes == (["unknown_place"] if said == "old-flat-999" else ["faulty"])


def test_gates_and_cameras_name_the_places_that_they_see() -> None:
    pipeline = _pipeline()
    for record in (place("door-1", PlaceKind.BUILDING), place("door-1-a", PlaceKind.DOOR, "door-1"), place("zone-9")):
        pipeline.admission.apply_config(record)
    common = {"site_id": "s1", "source_id": "g1", "at_ms": NOW_MS, "credential": Credential.CARD, "granted": True}
    inner, other = (AccessAttempted(event_id=p, place_id=p, **common) for p in ("door-1-a", "zone-9"))  # type: ignore[arg-type]
    assert [_accepted(pipeline, event).place_id for event in (inner, other)] == ["door-1-a", "door-1"]
    seen = _accepted(pipeline, row(1, place_id="zone-9"), BOX)
    assert isinstance(seen, ObjectObserved)
    assert seen.place_id == "zone-9"
    assert _accepted(pipeline, row(2, place_id="gone"), BOX).place_id == "lift-1"
    assert _noticed(pipeline)[0][:3] == ("c1", "unknown_place", "gone for lift-1")


def test_a_box_that_was_told_no_place_says_its_own_id_and_that_is_no_fault() -> None:
    pipeline = _pipeline()
    event = _accepted(pipeline, reported(source_id="b1", place_id="b1"), BOX)
    assert (event.place_id, _noticed(pipeline)) == ("place-1", [])


def test_what_stands_outlives_ingest() -> None:
    before, after = _pipeline(), _pipeline()
    _take(before, b"\x00")
    after.notices.load(before.notices.current(NOW_MS, before.admission.device))
    assert _noticed(after) == _noticed(before) == [("smoke-1", "unreadable", "not_json", 1, True)]
