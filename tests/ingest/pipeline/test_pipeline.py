"""Every message ends as exactly one thing: accepted, held, refused or passed over; and what it owes is kept."""

from __future__ import annotations

import msgspec
import pytest

from contracts.errors import RejectReason
from contracts.events import DeviceStateChanged, Event, Lane
from contracts.names import partition_of
from ingest.pipeline.acks import PendingPuback
from ingest.pipeline.admission import MAX_PENDING
from ingest.pipeline.device_notices import MAX_STRANGERS
from ingest.pipeline.lane_guard import LaneKey
from ingest.pipeline.pipeline import (
    Accepted,
    Arrival,
    Deferred,
    IngestPipeline,
    MessageOutcome,
    Refused,
    Skipped,
    SkipReason,
    SpoolRow,
)
from ingest.settings import ShardSettings
from inventory.pending import why_topic_waits
from tests.ingest.builders import NOW_MS, community, door, power, row, smoke, wire

STATE = "linli/v1/s1/meter/m1/state"
GATE, METER, BOX = "linli/v1/s1/gate/g1/evt", "linli/v1/s1/meter/m1/tele", "linli/v1/s1/edge/b1/evt"
LANE = LaneKey("s1", "b1", "sp1", Lane.LIVE)


def _pipeline(**settings: object) -> IngestPipeline:
    pipeline = IngestPipeline(msgspec.convert({"mqtt_url": "mqtt://x", **settings}, ShardSettings), "run")
    for record in community():
        pipeline.admission.apply_config(record)
    return pipeline


def _take(pipeline: IngestPipeline, topic: str, payload: bytes, now_ms: int = NOW_MS) -> MessageOutcome:
    arrival = Arrival(topic, payload, 1, 7, retain=False, connection=1)
    return pipeline.take(arrival, PendingPuback(7, 1), now_ms, timely=True)


def _say(pipeline: IngestPipeline, event: Event, topic: str = GATE, now_ms: int = NOW_MS) -> MessageOutcome:
    return _take(pipeline, topic, wire(event), now_ms)


def test_a_good_event_is_accepted_with_the_time_of_its_acceptance() -> None:
    outcome = _say(_pipeline(), door(seq=3), now_ms=NOW_MS + 40)
    assert isinstance(outcome, Accepted)
    assert outcome.event == msgspec.structs.replace(door(seq=3), received_ms=NOW_MS + 40)
    assert (outcome.pending_ack.receipt, outcome.pending_ack.row) == (PendingPuback(7, 1), None)


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("zigbee2mqtt/plug/state", b"{}", RejectReason.UNKNOWN_TOPIC),
        ("linli/v1/S 1/gate/g1/evt", b"{}", RejectReason.BAD_ID),
        (GATE, b"\x00", RejectReason.NOT_JSON),
        ("linli/v1/s1/gate/g9/evt", wire(door(source_id="g9")), RejectReason.NOT_CONFIGURED),
        (GATE, wire(door(at_ms=1, stored=True)), RejectReason.TOO_OLD),
    ],
)
def test_bad_input_is_refused_and_its_puback_still_owed(topic: str, payload: bytes, reason: RejectReason) -> None:
    pipeline = _pipeline()
    outcome = _take(pipeline, topic, payload)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.pending_ack.receipt, outcome.pending_ack.row) == (reason, PendingPuback(7, 1), None)
    assert pipeline.deferred == 0


def test_unknown_topics_are_pending_but_their_text_is_not_in_the_reason() -> None:
    pipeline = _pipeline()
    outcome = _take(pipeline, "mqtt/face/13800138000/Rec", b"x")
    assert isinstance(outcome, Refused)
    assert "138" not in outcome.detail
    assert [(t.topic, t.count) for t in pipeline.admission.pending_topics()] == [("mqtt/face/13800138000/Rec", 1)]


@pytest.mark.parametrize("name", ["Smoke-1", "aa:bb:cc", "smoke 1", "x" * 41, "烟感-1"])
def test_a_topic_with_an_id_that_is_none_is_pending(name: str) -> None:
    pipeline = _pipeline()
    topic = f"linli/v1/s1/sensor/{name}/evt"
    for _ in range(2):
        outcome = _take(pipeline, topic, b"x")
        assert isinstance(outcome, Refused)
        assert outcome.reason is RejectReason.BAD_ID
    assert [(t.topic, t.count) for t in pipeline.admission.pending_topics()] == [(topic, 2)]
    assert "does not match" in why_topic_waits(topic)


def test_what_pends_is_cut_clean_and_bounded() -> None:
    pipeline = _pipeline()
    _take(pipeline, "linli/v1/s1/sensor/a\x1b[2J\u202e" + "b" * 60_000 + "/evt", b"x")
    (waiting,) = pipeline.admission.pending_topics()
    assert waiting.topic.startswith("linli/v1/s1/sensor/a\ufffd[2J\ufffdbbb")
    assert len(waiting.topic) == 200
    for n in range(MAX_PENDING + 50):
        _take(pipeline, f"linli/v1/s1/sensor/Strange-{n}/evt", b"x")
    assert len(pipeline.admission.pending_topics()) == MAX_PENDING
    noticed = pipeline.notices.current(NOW_MS, pipeline.admission.device)
    assert len(noticed) == MAX_STRANGERS


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("linli/v1/s1/edge/b1/got", b"{}", SkipReason.NOT_FOR_INGEST),
        ("linli/v1/s1/gate/g1/cmd", b"{}", SkipReason.NOT_FOR_INGEST),
        ("linli/v1/s1/gate/g1/state", b"", SkipReason.CLEARED),
        ("linli/v1/s2/gate/g1/evt", b"{}", SkipReason.OTHER_SITE),
    ],
)
def test_what_is_not_for_ingest_is_passed_over(topic: str, payload: bytes, reason: SkipReason) -> None:
    outcome = _take(_pipeline(sites=["s1"]), topic, payload)
    assert isinstance(outcome, Skipped)
    assert outcome.reason is reason


def test_another_shards_sites_are_passed_over() -> None:
    mine = partition_of("s1", 8)
    pipeline = _pipeline(partitions=8, shards=8, index=(mine + 1) % 8, listen_all=False)
    outcome = _say(pipeline, door())
    assert isinstance(outcome, Skipped)
    assert outcome.reason is SkipReason.OTHER_SHARD


def test_telemetry_over_its_rate_is_dropped_and_the_rest_of_the_site_is_not() -> None:
    pipeline = _pipeline(readings_per_s=1, readings_burst=2)
    outcomes = [_say(pipeline, power(f"p{n}"), METER) for n in range(4)]
    assert [type(o) for o in outcomes] == [Accepted, Accepted, Skipped, Skipped]
    assert isinstance(_say(pipeline, door()), Accepted)
    assert isinstance(_say(pipeline, power("p9"), METER, NOW_MS + 1_000), Accepted)


def test_events_over_their_rate_are_deferred_in_order_and_released_with_a_new_time() -> None:
    pipeline = _pipeline(events_per_s=10, events_burst=1)
    outcomes = [_say(pipeline, door(f"e{n}", seq=n)) for n in range(4)]
    assert [type(o) for o in outcomes] == [Accepted, Deferred, Deferred, Deferred]
    assert pipeline.release(NOW_MS + 50) == []
    released = pipeline.release(NOW_MS + 250)
    assert [a.event.event_id for a in released] == ["e1", "e2"] or [a.event.event_id for a in released] == ["e1"]
    rest = pipeline.release(NOW_MS + 1_250)
    everything = [a.event.event_id for a in [*released, *rest, *pipeline.release(NOW_MS + 2_250)]]
    assert everything == ["e1", "e2", "e3"]
    assert released[0].event.received_ms == NOW_MS + 250
    assert pipeline.deferred == 0


def _drained(pipeline: IngestPipeline, count: int, behind_ms: int, channel: str = GATE) -> list[MessageOutcome]:
    """What becomes of so many messages that come within a second out of the broker's queue."""
    payloads = [wire(door(f"q{n}", seq=n) if channel == GATE else power(f"q{n}")) for n in range(count)]
    return [
        pipeline.take(
            Arrival(channel, payload, 1, 7, retain=False, connection=1),
            None,
            NOW_MS + n * 1_000 // count,
            timely=False,
            behind_ms=behind_ms,
        )
        for n, payload in enumerate(payloads)
    ]


@pytest.mark.parametrize("channel", [GATE, METER])
def test_a_queue_behind_an_outage_is_not_charged_to_a_device_that_kept_its_rate(channel: str) -> None:
    pipeline = _pipeline()
    for n in range(5):  # before the outage
        _say(pipeline, door(f"before-{n}"), now_ms=NOW_MS - 900_000)
    assert {type(o) for o in _drained(pipeline, 900, 900_000, channel)} == {Accepted}
    assert {type(o) for o in _drained(_pipeline(), 900, 900_000, channel)} == {Accepted}  # begun later


def test_a_device_that_floods_a_queue_gets_what_it_would_have_got_without_an_outage() -> None:
    outcomes = _drained(_pipeline(events_per_s=2, events_burst=10), 1_500, 300_000)
    kinds = [type(o) for o in outcomes]
    assert kinds.index(Deferred) in range(610, 613)
    assert kinds.count(Refused) == 1_500 - kinds.count(Accepted) - 500


def test_a_flood_that_ingest_cannot_follow_is_bounded_by_the_rate_though_time_stands() -> None:
    pipeline = _pipeline(events_per_s=2, events_burst=10)
    accepted = 0
    for second in range(60):
        for n in range(50):
            payload = wire(door(f"f{second}-{n}"))
            arrival, now_ms = Arrival(GATE, payload, 1, 7, retain=False, connection=1), NOW_MS + second * 1_000
            outcome = pipeline.take(arrival, None, now_ms, timely=not second, behind_ms=second * 1_000)
            accepted += isinstance(outcome, Accepted)
        accepted += len(pipeline.release(NOW_MS + second * 1_000))
    assert accepted <= 10 + 2 * 60


def test_what_waited_for_its_rate_goes_ahead_of_the_queue_behind_it() -> None:
    pipeline = _pipeline(events_per_s=2, events_burst=10)
    for n in range(30):
        _say(pipeline, door(f"b{n}", seq=n), now_ms=NOW_MS - 300_000)
    first, *_ = _drained(pipeline, 1, 300_000)
    assert isinstance(first, Deferred)
    released = pipeline.release(NOW_MS)
    assert [a.event.event_id for a in released] == [*(f"b{n}" for n in range(10, 30)), "q0"]
    assert {type(o) for o in _drained(pipeline, 500, 300_000)} == {Accepted}


def _over(pipeline: IngestPipeline, event: Event, connection: int, mid: int) -> MessageOutcome:
    arrival = Arrival(GATE, wire(event), 1, mid, retain=False, connection=connection)
    return pipeline.take(arrival, PendingPuback(mid, connection), NOW_MS, timely=True)


def test_what_waits_and_is_sent_again_over_a_new_connection_waits_once() -> None:
    pipeline = _pipeline(events_per_s=10, events_burst=1)
    events = [door(f"e{n}", seq=n) for n in range(4)]
    before = [_over(pipeline, event, 1, n) for n, event in enumerate(events)]
    assert [type(o) for o in before] == [Accepted, Deferred, Deferred, Deferred]
    again = [_over(pipeline, event, 2, 10 + n) for n, event in enumerate(events[1:])]
    assert [type(o) for o in again] == [Deferred] * 3
    assert pipeline.deferred == 3
    assert isinstance(_over(pipeline, door("e2", seq=2, at_ms=NOW_MS + 5), 2, 20), Deferred)  # another of that id
    assert isinstance(_over(pipeline, events[3], 2, 21), Deferred)  # said twice by the device itself: answered twice
    released = [a for n in range(1, 9) for a in pipeline.release(NOW_MS + 200 * n)]
    assert [a.event.event_id for a in released] == ["e1", "e2", "e3", "e2", "e3"]
    assert [a.pending_ack.receipt for a in released] == [PendingPuback(mid, 2) for mid in (10, 11, 12, 20, 21)]


def test_a_device_that_never_stops_is_refused_and_life_safety_never_waits() -> None:
    pipeline = _pipeline(events_per_s=1, events_burst=1)
    outcomes = [_say(pipeline, door(f"e{n}")) for n in range(600)]
    assert sum(isinstance(o, Deferred) for o in outcomes) == 500
    assert isinstance(outcomes[-1], Refused)
    assert outcomes[-1].reason is RejectReason.OVER_LIMIT
    for n in range(20):
        assert isinstance(_say(pipeline, smoke(f"f{n}"), "linli/v1/s1/sensor/smoke-1/evt"), Accepted)


def test_life_safety_has_a_bound_of_its_own_for_each_device() -> None:
    pipeline = _pipeline(alarms_per_s=1, alarms_burst=50, events_per_s=1, events_burst=1)
    outcomes = [type(_say(pipeline, smoke(f"f{n}"), "linli/v1/s1/sensor/smoke-1/evt")) for n in range(600)]
    assert outcomes == [Accepted] * 51 + [Deferred] * 500 + [Refused] * 49
    assert isinstance(_say(pipeline, door()), Accepted)


def test_spool_rows_are_paced_by_their_acknowledgement_alone() -> None:
    pipeline = _pipeline(events_per_s=1, events_burst=1)
    outcomes = [_say(pipeline, row(n, stored=True, lane=Lane.BACKLOG), BOX) for n in range(200)]
    assert all(isinstance(o, Accepted) for o in outcomes)


def test_a_row_goes_to_the_log_without_first_and_owes_a_got() -> None:
    outcome = _say(_pipeline(), row(4, first=4), BOX)
    assert isinstance(outcome, Accepted)
    assert outcome.event.spool is not None
    assert outcome.event.spool.first is None
    assert outcome.pending_ack.row == SpoolRow(LANE, 4)


def test_a_row_whose_predecessors_are_missing_is_not_taken_until_they_came() -> None:
    pipeline = _pipeline()
    gap = _say(pipeline, row(6, first=4), BOX)
    assert isinstance(gap, Skipped)
    assert (gap.reason, gap.lane, gap.pending_ack.row) == (SkipReason.LANE_GAP, LANE, None)
    taken = [_say(pipeline, row(n, first=4), BOX) for n in (4, 5, 6)]
    assert all(isinstance(o, Accepted) for o in taken)
    repeated, after_a_declared_loss = _say(pipeline, row(5, first=4), BOX), _say(pipeline, row(9, first=9), BOX)
    assert isinstance(repeated, Accepted)
    assert isinstance(after_a_declared_loss, Accepted)


def test_a_refused_row_is_answered_in_its_lane_or_the_lane_would_stick() -> None:
    pipeline = _pipeline()
    ancient = _say(pipeline, row(1, at_ms=1, stored=True), BOX)
    unreadable = _take(pipeline, BOX, wire(row(2, first=1)).replace(b"0.9", b'"high"'))
    assert isinstance(ancient, Refused)
    assert isinstance(unreadable, Refused)
    assert (ancient.pending_ack.row, unreadable.pending_ack.row) == (SpoolRow(LANE, 1), SpoolRow(LANE, 2))
    assert isinstance(_say(pipeline, row(3, first=1), BOX), Accepted)


def test_only_a_box_itself_can_have_its_bad_rows_answered() -> None:
    forged = wire(row(2)).replace(b"0.9", b'"high"')
    outcome = _take(_pipeline(), "linli/v1/s1/edge/b2/evt", forged)
    assert isinstance(outcome, Refused)
    assert outcome.pending_ack.row is None


@pytest.mark.parametrize("at_ms", [0, 11_000, NOW_MS // 1_000, NOW_MS * 1_000, "noon"])
def test_an_alarm_with_an_impossible_clock_is_taken_now(at_ms: object) -> None:
    fields = {**msgspec.json.decode(wire(smoke())), "at_ms": at_ms}
    outcome = _take(_pipeline(), "linli/v1/s1/sensor/smoke-1/evt", msgspec.json.encode(fields))
    assert isinstance(outcome, Accepted)
    assert (outcome.event.at_ms, outcome.event.received_ms, outcome.event.untrusted) == (NOW_MS, NOW_MS, True)


def changed(*, online: bool) -> DeviceStateChanged:
    """A meter, or its last will, says whether it is connected."""
    return DeviceStateChanged(
        event_id="st", site_id="s1", source_id="m1", place_id="room-1", at_ms=NOW_MS, online=online
    )


RETAINED = {
    "an alarm": ("linli/v1/s1/sensor/smoke-1/evt", smoke()),
    "a reading": (METER, power()),
    "offline": (STATE, changed(online=False)),
    "online": (STATE, changed(online=True)),
    "a row of a box": (BOX, row(1)),
}


@pytest.mark.parametrize(("topic", "event"), RETAINED.values(), ids=RETAINED)
def test_retained_messages_are_state_of_unknown_age_and_go_nowhere(topic: str, event: Event) -> None:
    pipeline = _pipeline()
    arrival = Arrival(topic, wire(event), 1, 7, retain=True, connection=1)
    outcome = pipeline.take(arrival, PendingPuback(7, 1), NOW_MS, timely=True)
    assert isinstance(outcome, Skipped)
    assert (outcome.reason, outcome.pending_ack.receipt) == (SkipReason.RETAINED, PendingPuback(7, 1))
    assert pipeline.clocks.records() == []
    assert isinstance(_say(pipeline, event, topic), Accepted)  # said now, the same counts
