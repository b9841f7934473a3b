"""Every event goes to its own device's topic with the promise of its channel, as its device would have sent it."""

from __future__ import annotations

import msgspec
import pytest

from contracts.events import (
    AnyEvent,
    ConfigurationRecord,
    DeviceConfigured,
    DeviceReported,
    Lane,
    PowerSampled,
    SpoolMark,
)
from contracts.names import Channel, DeviceClass, Topic, parse_topic
from simulator.lanes import UnackedRows
from simulator.topics import SpoolAckReceived, parse_spool_ack, payload_of, quality_of, timed, topic_of
from tests.simulator.worlds import world

SITE = "site-01"
BOX_TOPIC = parse_topic(f"linli/v1/{SITE}/edge/box-b1/evt")


def _row(seq: int, lane: Lane = Lane.LIVE) -> AnyEvent:
    mark = SpoolMark(box_id="box-b1", spool_id="sp-1", lane=lane, seq=seq)
    return DeviceReported(event_id=f"e{seq}", site_id=SITE, source_id="cam-1", place_id="b1", at_ms=seq, spool=mark)


def _sent(seq: int) -> tuple[Topic, AnyEvent]:
    return BOX_TOPIC, _row(seq)


def test_each_kind_of_device_speaks_on_its_own_topic() -> None:
    classes = {e.device_id: e.device_class for e in world().events if isinstance(e, DeviceConfigured)}
    topics: dict[tuple[DeviceClass, Channel, tuple[int, bool]], set[str]] = {}
    for event in world().events:
        topic = topic_of(event, classes)
        if topic is not None:
            topics.setdefault((topic.device_class, topic.channel, quality_of(topic)), set()).add(type(event).__name__)

    assert topics[DeviceClass.METER, Channel.TELE, (0, False)] == {"PowerSampled"}
    assert topics[DeviceClass.GATE, Channel.STATE, (1, True)] == {"DeviceStateChanged"}
    assert topics[DeviceClass.GATE, Channel.EVT, (1, False)] == {
        "AccessAttempted",
        "DoorChanged",
        "DeviceReported",
        "PassageObserved",
    }
    assert topics[DeviceClass.SENSOR, Channel.EVT, (1, False)] == {"EnvironmentSampled"}
    assert topics[DeviceClass.EDGE, Channel.EVT, (1, False)] >= {
        "PassageObserved",
        "ObjectObserved",
        "ObjectFell",
        "BacklogDrained",
    }
    assert {device_class for device_class, _, _ in topics} == {
        DeviceClass.METER,
        DeviceClass.GATE,
        DeviceClass.SENSOR,
        DeviceClass.EDGE,
    }


def test_a_payload_holds_nothing_that_only_ingest_sets() -> None:
    payload = msgspec.json.decode(payload_of(world().events[-1]))

    assert "received_ms" not in payload
    assert "device_at_ms" not in payload


def test_a_timed_stream_starts_now_keeps_order_and_shrinks_with_speed() -> None:
    stream = list(timed(world().events[:5_000], start_ms=1_000_000, speed=10.0))
    first = world().events[0].received_ms
    due = [due_s for due_s, _, _ in stream]

    assert due == sorted(due)
    assert all(not isinstance(e, ConfigurationRecord) for _, _, e in stream)
    last_in_file, last = world().events[4_999], stream[-1]
    assert last[0] == pytest.approx((last_in_file.received_ms - first) / 10_000)
    assert last[2].at_ms == 1_000_000 + (last_in_file.at_ms - first) // 10


def test_a_held_row_names_the_oldest_one_still_held() -> None:
    held = UnackedRows()
    sent = [held.hold(*_sent(seq), now_s=0.0) for seq in (1, 2, 3)]
    held.forget(SpoolAckReceived(SITE, "box-b1", "sp-1", Lane.LIVE, 2), now_s=1.0)
    fourth = held.hold(*_sent(4), now_s=1.0)

    assert [e.spool.first for e in sent if e.spool] == [1, 1, 1]
    assert fourth.spool is not None
    assert fourth.spool.first == 3
    assert len(held) == 2


def test_a_stalled_lane_is_sent_again_from_its_first_row_but_not_twice_at_once() -> None:
    held = UnackedRows()
    for seq in (1, 2, 3):
        held.hold(*_sent(seq), now_s=0.0)
    held.forget(SpoolAckReceived(SITE, "box-b1", "sp-1", Lane.LIVE, 1), now_s=5.0)

    assert held.again(7.0, waited_s=3.0) == []
    assert [event.event_id for _, event in held.again(8.0, waited_s=3.0)] == ["e2", "e3"]
    assert held.again(8.1, waited_s=3.0) == []


def test_an_acknowledgement_of_another_spool_or_a_scripted_resend_changes_nothing() -> None:
    held = UnackedRows()
    for seq in (1, 2, 1):
        held.hold(*_sent(seq), now_s=0.0)
    held.forget(SpoolAckReceived(SITE, "box-b1", "sp-2", Lane.LIVE, 9), now_s=0.0)
    held.forget(SpoolAckReceived(SITE, "box-b1", "sp-1", Lane.BACKLOG, 9), now_s=0.0)

    assert len(held) == 2


def test_boxes_of_one_name_at_two_sites_have_a_lane_each() -> None:
    held = UnackedRows()
    for seq in (1, 2):
        topic, event = _sent(seq)
        held.hold(topic, event, now_s=0.0)
        held.hold(topic, msgspec.structs.replace(event, site_id="elsewhere"), now_s=0.0)
    held.forget(SpoolAckReceived(SITE, "box-b1", "sp-1", Lane.LIVE, 2), now_s=0.0)

    assert [(event.site_id, event.event_id) for _, event in held.again(9.0, waited_s=3.0)] == [
        ("elsewhere", "e1"),
        ("elsewhere", "e2"),
    ]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("linli/v1/s/edge/b/got", b"not json"),
        ("linli/v1/s/edge/b/got", b'{"spool_id": "x"}'),
        ("linli/v1/s/edge/b/got", b'{"spool_id": "x", "lane": "slow", "through_seq": 1}'),
        ("somewhere/else", b'{"spool_id": "x", "lane": "live", "through_seq": 1}'),
    ],
)
def test_what_is_no_acknowledgement_is_none(topic: str, payload: bytes) -> None:
    assert parse_spool_ack(topic, payload) is None


def test_an_acknowledgement_is_read() -> None:
    got = parse_spool_ack("linli/v1/s/edge/b/got", b'{"spool_id": "x", "lane": "live", "through_seq": 7}')

    assert got == SpoolAckReceived("s", "b", "x", Lane.LIVE, 7)


def test_a_device_nobody_knows_speaks_as_a_gate() -> None:
    event = PowerSampled(event_id="x", site_id=SITE, source_id="new", place_id="p", at_ms=1, power_w=1.0)

    assert topic_of(event, {}) == Topic(SITE, DeviceClass.GATE, "new", parse_topic("linli/v1/s/meter/d/tele").channel)
