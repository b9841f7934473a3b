"""Receipts, acknowledgements, buckets, marks and the clock of ingest."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from contracts.events import Lane
from contracts.secrets import Secret
from ingest.pipeline.acks import PubackQueue
from ingest.pipeline.bounded import LruDict
from ingest.pipeline.ingest_clock import MAX_SLEW, IngestClock
from ingest.pipeline.lane_guard import LaneKey
from ingest.pipeline.rate_limits import MAX_DEFERRED, DelayQueue, TokenBuckets
from ingest.pipeline.spool_acks import SpoolAckTracker
from ingest.session.watermark import MAX_OUTSTANDING, Probe, TakenOver, Watermark
from ingest.settings import ShardSettings, broker_address, owned_partitions
from tests.ingest.builders import NOW_MS

KEY = ("s1", "g1")
LANE = LaneKey("s1", "b1", "sp1", Lane.LIVE)

# --- PUBACKs ----------------------------------------------------------------------------------------------------------


def test_pubacks_go_in_order_of_receipt() -> None:
    acks = PubackQueue()
    receipts = [acks.received(mid, 1) for mid in (10, 11, 12)]
    acks.finish(receipts[1])
    assert acks.take(1) == []
    acks.finish(receipts[0])
    assert acks.take(1) == [10, 11]
    assert acks.take(1) == []
    assert len(acks) == 1


def test_what_is_held_back_stops_nobody_and_is_answered_when_it_is_done() -> None:
    acks = PubackQueue()
    held, other = acks.received(1, 1), acks.received(2, 1)
    acks.detach(held)
    acks.finish(other)
    assert acks.take(1) == [2]
    acks.finish(held)
    assert acks.take(1) == [1]
    assert len(acks) == 0


def test_numbers_of_a_connection_that_is_gone_are_never_sent() -> None:
    acks = PubackQueue()
    old, held = acks.received(1, 1), acks.received(2, 1)
    acks.detach(held)
    acks.disconnected()
    new = acks.received(1, 2)
    acks.finish(old)
    acks.finish(held)
    assert acks.take(2) == []
    acks.finish(new)
    assert acks.take(2) == [1]


# --- got --------------------------------------------------------------------------------------------------------------


def test_a_box_is_told_once_how_far_its_lane_is_durable() -> None:
    tracker = SpoolAckTracker()
    for seq in (1, 2, 3, 2):
        tracker.durable(LANE, seq)
    ((topic, payload),) = tracker.take()
    assert topic == "linli/v1/s1/edge/b1/got"
    assert msgspec.json.decode(payload) == {"spool_id": "sp1", "lane": "live", "through_seq": 3}
    assert tracker.take() == []


def test_the_answer_to_a_gap_is_the_last_one_at_most_once_a_second() -> None:
    tracker = SpoolAckTracker()
    tracker.repeat(LANE, 0)
    assert tracker.take() == []
    tracker.durable(LANE, 5)
    tracker.take()
    for now_ms in (0, 10, 999):
        tracker.repeat(LANE, now_ms)
    ((_, payload),) = tracker.take()
    assert msgspec.json.decode(payload)["through_seq"] == 5
    tracker.repeat(LANE, 1_000)
    assert len(tracker.take()) == 1


# --- rates ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-50, 400), max_size=200))
def test_a_bucket_never_gives_more_than_burst_plus_rate(gaps_ms: list[int]) -> None:
    buckets, now_ms, given_out, passed_ms = TokenBuckets(5, 10), NOW_MS, 0, 0
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        passed_ms += max(gap_ms, 0)
        given_out += buckets.take(KEY, now_ms)
    assert given_out <= 10 + passed_ms * 5 / 1000


def test_the_delay_queue_is_bounded_per_device_and_keeps_order() -> None:
    queue: DelayQueue[int] = DelayQueue()
    assert all(queue.defer(KEY, n) for n in range(MAX_DEFERRED))
    assert not queue.defer(KEY, -1)
    assert queue.defer(("s1", "g2"), 1_000)
    freed = queue.release(TokenBuckets(1, 1_000), NOW_MS)
    assert freed == [*range(MAX_DEFERRED), 1_000]
    assert len(queue) == 0
    assert not queue.is_waiting(KEY)


def test_bounded_forgets_the_key_used_longest_ago() -> None:
    rows: LruDict[int, int] = LruDict(3, int)
    for key in (1, 2, 3, 1, 4):
        rows[key] = key
    assert [key for key, _ in rows.items()] == [3, 1, 4]
    rows.forget(1)
    assert 1 not in rows
    assert len(rows) == 2


def test_bounded_without_exact_order_notes_uses_only_when_it_is_more_than_half_full() -> None:
    rows: LruDict[int, int] = LruDict(4, int, exact=False)
    for key in (1, 2, 1, 3, 1, 4):
        rows[key] = key
    assert [key for key, _ in rows.items()] == [2, 3, 1, 4]
    rows[5] = 5
    assert [key for key, _ in rows.items()] == [3, 1, 4, 5]


# --- time -------------------------------------------------------------------------------------------------------------


def test_the_mark_is_the_send_time_of_the_newest_probe_that_came_back() -> None:
    watermark = Watermark("me", NOW_MS)
    probes = [watermark.send(NOW_MS + n * 250) for n in range(4)]
    assert watermark.mark_ms == 0
    watermark.returned(probes[1])
    watermark.returned(probes[0])
    assert watermark.mark_ms == NOW_MS + 250
    assert watermark.lag_ms(NOW_MS + 1_000) == 750
    watermark.returned(probes[3])
    assert watermark.mark_ms == NOW_MS + 750


def test_it_stands_still_over_a_disconnection_and_for_foreign_probes() -> None:
    watermark = Watermark("me", NOW_MS)
    lost = watermark.send(NOW_MS + 250)
    watermark.disconnected()
    assert watermark.returned(lost) is None
    assert watermark.returned(Probe("me", NOW_MS, 99)) is None
    assert watermark.returned(Probe("before", NOW_MS - 5, 1)) is None
    assert watermark.mark_ms == 0
    watermark.returned(watermark.send(NOW_MS + 500))
    assert watermark.returned(Probe("after", NOW_MS + 5, 1)) == TakenOver("after", NOW_MS + 5)


def test_who_takes_a_session_over_with_its_clock_behind_still_is_the_later_one() -> None:
    before, after = Watermark("a", NOW_MS), Watermark("b", NOW_MS - 60 * 86_400_000)
    before.returned(before.send(NOW_MS))
    assert after.returned(before.send(NOW_MS)) is None  # the retained probe that it finds
    after.returned(after.send(NOW_MS))
    gave_way = before.returned(after.send(NOW_MS))
    assert gave_way == TakenOver("b", NOW_MS + 1)


def test_of_two_owners_exactly_one_gives_way() -> None:
    one, two = Watermark("a", NOW_MS), Watermark("b", NOW_MS)
    for watermark in (one, two):
        watermark.returned(watermark.send(NOW_MS))
    gave_way = [one.returned(two.send(NOW_MS)) is not None, two.returned(one.send(NOW_MS)) is not None]
    assert sorted(gave_way) == [False, True]


def test_probes_under_way_are_bounded_and_the_newest_count() -> None:
    watermark = Watermark("me", NOW_MS)
    probes = [watermark.send(NOW_MS + n) for n in range(MAX_OUTSTANDING + 10)]
    watermark.returned(probes[0])
    assert watermark.mark_ms == 0
    watermark.returned(probes[-1])
    assert watermark.mark_ms == NOW_MS + MAX_OUTSTANDING + 9


DAY_MS = 86_400_000


def _follow(clock: IngestClock, off_ms: int, from_s: int, to_s: int) -> list[tuple[int, int]]:
    """Look at it each second, follow where it is due; when, and by how much."""
    shifts = []
    for second in range(from_s, to_s):
        clock.read(NOW_MS + second * 1_000 + off_ms, second * 1_000)
        if clock.due_shift_ms():
            shifts.append((second, clock.due_shift_ms()))
            clock.shift(clock.due_shift_ms())
    return shifts


@pytest.mark.parametrize("off_ms", [-60 * DAY_MS, -5 * 3_600_000, -3_000, 3_000, 5 * 3_600_000, 60 * DAY_MS])
def test_the_logs_time_follows_a_step_within_seconds_and_the_line_goes_on(off_ms: int) -> None:
    clock = IngestClock(NOW_MS, 0)
    assert _follow(clock, 0, 0, 10) == []
    assert _follow(clock, off_ms, 10, 30) == [(15, off_ms)]
    line_ms = clock.read(NOW_MS + 30_000 + off_ms, 30_000)
    assert abs(line_ms - (NOW_MS + 30_000)) < 500
    assert line_ms + clock.offset_ms == pytest.approx(NOW_MS + 30_000 + off_ms, abs=500)
    assert _follow(clock, 0, 31, 60) == [(36, -off_ms)]
    assert len(clock.take_steps()) == 2


def test_a_small_step_is_slewed_and_a_clock_that_does_not_settle_is_not_followed() -> None:
    clock = IngestClock(NOW_MS, 0)
    assert _follow(clock, 1_900, 1, 60) == []
    assert clock.read(NOW_MS + 61_900, 60_000) == NOW_MS + 61_900
    for second in range(61, 90):
        clock.read(NOW_MS + second * 1_000 + second % 2 * 3_600_000, second * 1_000)
        assert clock.due_shift_ms() == 0


def test_a_start_with_the_clock_behind_the_log_takes_its_word_and_doubts_it() -> None:
    clock = IngestClock(NOW_MS, 0, last_ms=NOW_MS + DAY_MS)
    line_ms = clock.read(NOW_MS, 0)
    assert line_ms == NOW_MS + DAY_MS + 1
    assert line_ms + clock.offset_ms == NOW_MS
    assert clock.doubt() == f"{DAY_MS} ms behind the log's newest time"
    assert _follow(clock, DAY_MS + 5_000, 1, 10) == [(6, DAY_MS + 5_000)]
    assert clock.doubt() == ""


def test_nobody_corrects_a_clock_for_an_hour_and_it_is_taken_for_right() -> None:
    clock = IngestClock(NOW_MS, 0, last_ms=NOW_MS + 60 * DAY_MS)
    assert clock.doubt()
    clock.read(NOW_MS + 3_601_000, 3_601_000)
    assert clock.doubt() == ""


@pytest.mark.parametrize("last_ms", [0, NOW_MS - 60_000])
def test_a_clock_of_1970_is_not_followed_until_it_is_right(last_ms: int) -> None:
    made_ms = NOW_MS - 300 * DAY_MS
    clock = IngestClock(7_000, 0, floor_ms=made_ms, last_ms=last_ms)
    began_ms = clock.read(7_000, 0)
    assert began_ms == max(made_ms, last_ms + 1)
    assert clock.doubt()
    assert [clock.read(7_000 + n * 1_000, n * 1_000) for n in range(1, 4)] == [began_ms + n * 1_000 for n in (1, 2, 3)]
    assert clock.due_shift_ms() == 0
    shifts = _follow(clock, 0, 4, 20)
    assert len(shifts) == 1
    assert clock.read(NOW_MS + 20_000, 20_000) + clock.offset_ms == pytest.approx(NOW_MS + 20_000, abs=1_500)
    assert clock.doubt() == ""


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(-10_000, 15_000)), max_size=80))
def test_ingest_time_never_goes_back_and_slews_at_most_5_percent(steps: list[tuple[int, int]]) -> None:
    clock, wall_ms, monotonic_ms = IngestClock(NOW_MS, 0), NOW_MS, 0
    before = clock.read(wall_ms, monotonic_ms)
    for passed_ms, wall_passed_ms in steps:
        monotonic_ms, wall_ms = monotonic_ms + passed_ms, wall_ms + wall_passed_ms
        now = clock.read(wall_ms, monotonic_ms)
        assert passed_ms * (1 - MAX_SLEW) - 1 <= now - before <= passed_ms * (1 + MAX_SLEW) + 1
        before = now


# --- settings ---------------------------------------------------------------------------------------------------------


def test_every_partition_has_exactly_one_shard() -> None:
    owned = [
        owned_partitions(ShardSettings(mqtt_url="", partitions=24, shards=5, index=i, listen_all=False))
        for i in range(5)
    ]
    assert sorted(p for part in owned for p in part) == list(range(24))


@pytest.mark.parametrize(
    "fields", [{"index": 1}, {"shards": 2}, {"shards": 2, "partitions": 2}, {"shards": 0, "partitions": 1}]
)
def test_shards_that_contradict_themselves_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="shard"):
        owned_partitions(msgspec.convert({"mqtt_url": "", **fields}, ShardSettings))


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://x:99999", "x:1883"])
def test_a_wrong_broker_url_says_what_was_expected_and_not_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected mqtt://") as caught:
        broker_address(url.replace("://", "://u:secret@"))
    assert "secret" not in str(caught.value)


def test_the_password_file_wins_over_the_url() -> None:
    address = broker_address("mqtts://a:b@broker.example", Secret("shard:s3c:ret\n"))
    assert (address.user, address.password.reveal(), address.port, address.tls is not None) == (
        "shard",
        "s3c:ret",
        8883,
        True,
    )
    assert "s3c" not in repr(address)
