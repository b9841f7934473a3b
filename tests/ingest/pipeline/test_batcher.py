"""Records are cut when they should be, hold what they should, and never say more about time than is true."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.batch import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, encode_batch, shift_of
from contracts.durations import DAY_MS
from contracts.events import ClockStepped, event_header
from ingest.pipeline.batcher import (
    BUSY_BEAT_MS,
    BUSY_FOR_MS,
    COLLECT_MS,
    PROVE_BEAT_MS,
    QUIET_BEAT_MS,
    BatchCut,
    Batcher,
    cut_together,
)
from tests.ingest.builders import NOW_MS, door, reported, smoke


def _cut(batcher: Batcher[int], now_ms: int) -> BatchCut[int]:
    cut = batcher.cut(now_ms)
    assert cut is not None
    return cut


def test_at_rest_events_collect_for_50_ms_from_the_first() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    assert batcher.due_ms(NOW_MS) is None
    batcher.add(door("a"), 1, NOW_MS)
    batcher.add(door("b"), 2, NOW_MS + 30)
    assert batcher.due_ms(NOW_MS + 30) == NOW_MS + COLLECT_MS
    assert batcher.cut(NOW_MS + COLLECT_MS - 1) is None
    cut = _cut(batcher, NOW_MS + COLLECT_MS)
    assert cut.batch is not None
    assert ([e.event_id for e in cut.batch.events], cut.receipts, cut.batch.watermark_ms) == (["a", "b"], [1, 2], 0)
    assert len(batcher) == 0


def test_while_an_append_is_in_flight_nothing_else_is_cut() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.add(door("a"), 1, NOW_MS)
    _cut(batcher, NOW_MS + COLLECT_MS)
    batcher.add(smoke("b"), 2, NOW_MS + 60)
    assert batcher.due_ms(NOW_MS + 500) is None
    assert batcher.cut(NOW_MS + 500) is None
    batcher.appended()
    cut = _cut(batcher, NOW_MS + 500)
    assert cut.receipts == [2]


def test_life_safety_goes_at_once_and_so_does_the_time_that_passes_it() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.add(door("a"), 1, NOW_MS)
    batcher.add(smoke("b"), 2, NOW_MS + 1)
    assert _cut(batcher, NOW_MS + 1).receipts == [1, 2]
    batcher.appended()
    batcher.mark(NOW_MS)
    assert batcher.due_ms(NOW_MS + 5) == NOW_MS + BUSY_BEAT_MS
    batcher.mark(NOW_MS + 1)
    assert batcher.due_ms(NOW_MS + 5) == NOW_MS + 5


def test_the_time_that_passes_an_event_comes_sooner_than_the_beat() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.add(door("a"), 1, NOW_MS)
    _cut(batcher, NOW_MS + COLLECT_MS)
    batcher.appended()
    batcher.mark(NOW_MS + 60)
    assert batcher.due_ms(NOW_MS + 65) == NOW_MS + PROVE_BEAT_MS
    _cut(batcher, NOW_MS + PROVE_BEAT_MS)
    batcher.appended()
    batcher.mark(NOW_MS + 160)
    assert batcher.due_ms(NOW_MS + 165) == NOW_MS + PROVE_BEAT_MS + BUSY_BEAT_MS


def test_a_reading_without_alarm_is_no_hurry() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.add(smoke(alarm=False), 1, NOW_MS)
    assert batcher.due_ms(NOW_MS) == NOW_MS + COLLECT_MS


def test_a_full_batch_goes_at_once_and_only_the_last_part_says_the_time() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    for n in range(MAX_BATCH_EVENTS + 5):
        batcher.add(door(str(n)), n, NOW_MS)
    batcher.mark(NOW_MS - 3)
    first = _cut(batcher, NOW_MS)
    assert first.batch is not None
    assert (len(first.batch.events), first.batch.watermark_ms) == (MAX_BATCH_EVENTS, 0)
    batcher.appended()
    second = _cut(batcher, NOW_MS + COLLECT_MS)
    assert second.batch is not None
    assert (len(second.batch.events), second.batch.watermark_ms) == (5, NOW_MS - 3)


def test_no_record_is_larger_than_a_batch_may_be() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    big = {f"gauge-{n:02}-" + "x" * 60: float(n) for n in range(64)}
    for n in range(120):
        batcher.add(reported(str(n), gauges=big), n, NOW_MS)
    sizes = []
    while len(batcher):
        cut = batcher.drain(NOW_MS)
        assert cut is not None
        assert cut.batch is not None
        sizes.append(len(encode_batch(cut.batch)))
        batcher.appended()
    assert len(sizes) > 1
    assert max(sizes) <= MAX_BATCH_BYTES


def test_a_mark_that_does_not_move_makes_no_record() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.mark(NOW_MS)
    assert _cut(batcher, NOW_MS + BUSY_BEAT_MS).receipts == []
    batcher.appended()
    batcher.mark(NOW_MS)
    assert batcher.due_ms(NOW_MS + 100_000) is None


def test_quiet_partitions_beat_slower_after_five_minutes() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    now_ms, beats = NOW_MS, []
    while now_ms < NOW_MS + BUSY_FOR_MS + 10_000:
        now_ms += 50
        batcher.mark(now_ms - 5)
        if batcher.cut(now_ms) is not None:
            batcher.appended()
            beats.append(now_ms)
    gaps = [b - a for a, b in itertools.pairwise(beats)]
    assert set(gaps) == {BUSY_BEAT_MS, QUIET_BEAT_MS}
    assert gaps == sorted(gaps)
    assert gaps.count(QUIET_BEAT_MS) in {9, 10}


def test_a_follower_waits_for_what_was_added_before_it_and_needs_no_record() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.follow(1, NOW_MS)
    alone = _cut(batcher, NOW_MS + COLLECT_MS)
    assert (alone.batch, alone.receipts) == (None, [1])
    batcher.add(door(), 2, NOW_MS)
    batcher.follow(3, NOW_MS)
    assert _cut(batcher, NOW_MS + COLLECT_MS).receipts == [2, 3]
    batcher.follow(4, NOW_MS)
    assert batcher.cut(NOW_MS + 1_000) is None


def _partitions(*cuts: BatchCut[int]) -> list[int]:
    return [cut.batch.partition for cut in cuts if cut.batch is not None]


def test_what_is_due_soon_goes_along_with_what_is_due_now() -> None:
    batchers = [Batcher[int](partition, NOW_MS, 200) for partition in range(3)]
    for partition, batcher in enumerate(batchers):
        batcher.add(door("a"), 1, NOW_MS + 80 * partition)
    assert cut_together(batchers, NOW_MS + 199, 100) == []
    assert _partitions(*cut_together(batchers, NOW_MS + 200, 100)) == [0, 1]
    assert _partitions(*cut_together(batchers, NOW_MS + 360, 100)) == [2]


def test_a_life_safety_event_goes_without_waiting_and_without_the_others() -> None:
    batchers = [Batcher[int](partition, NOW_MS, 200) for partition in range(2)]
    batchers[0].add(door("a"), 1, NOW_MS)
    batchers[1].add(smoke("b"), 1, NOW_MS + 190)
    assert _partitions(*cut_together(batchers, NOW_MS + 190, 100)) == [1]
    assert _partitions(*cut_together(batchers, NOW_MS + 200, 100)) == [0]


STEPS = st.lists(st.sampled_from(["event", "smoke", "follow", "mark", "tick", "durable"]), max_size=120)


@given(STEPS)
def test_everything_comes_out_once_in_order_and_no_watermark_runs_ahead(steps: list[str]) -> None:
    """A record may say M only when everything added before M was marked is in it or in an earlier one."""
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    now_ms, n, added_before_mark, out, cuts = NOW_MS, 0, {0: 0}, [], []
    for step in [*steps, *["durable", "tick"] * 5]:
        now_ms += 37
        if step in {"event", "smoke", "follow"}:
            n += 1
            if step == "follow":
                batcher.follow(n, now_ms)
            else:
                batcher.add(door(str(n)) if step == "event" else smoke(str(n)), n, now_ms)
        elif step == "mark":
            batcher.mark(now_ms)
            added_before_mark[now_ms] = n
        elif step == "durable" and batcher.in_flight:
            batcher.appended()
        elif (cut := batcher.cut(now_ms)) is not None:
            cuts.append(cut)
            out += cut.receipts
            if cut.batch is not None:
                assert added_before_mark[cut.batch.watermark_ms] <= len(out)
    marks = [cut.batch.watermark_ms for cut in cuts if cut.batch is not None]
    assert marks == sorted(marks)
    assert out == list(range(1, n + 1))


# --- steps of the log's time ------------------------------------------------------------------------------------------


def _told(at_ms: int, shift_ms: int) -> ClockStepped:
    header = event_header("s1", "ingest", "s1", at_ms, f"shift-{at_ms}")
    return ClockStepped(**header, received_ms=at_ms, step_ms=shift_ms, shift_ms=shift_ms)


@pytest.mark.parametrize("by_ms", [-60 * DAY_MS, 5 * 3_600_000])
def test_what_is_not_cut_yet_lies_behind_the_step_and_on_the_new_time(by_ms: int) -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.add(door("a", received_ms=NOW_MS), 1, NOW_MS)
    batcher.mark(NOW_MS)
    before = _cut(batcher, NOW_MS + COLLECT_MS)
    batcher.add(smoke("b", at_ms=NOW_MS + 55), 2, NOW_MS + 60)  # while that is under way
    batcher.follow(3, NOW_MS + 61)
    batcher.mark(NOW_MS + 62)
    batcher.shift(by_ms, [_told(NOW_MS + 70 + by_ms, by_ms)], 4, NOW_MS + 70)
    batcher.add(door("c", received_ms=NOW_MS + 80 + by_ms), 5, NOW_MS + 80)
    assert batcher.cut(NOW_MS + 100) is None
    batcher.appended()
    after = _cut(batcher, NOW_MS + 100)
    assert before.batch is not None
    assert after.batch is not None
    assert (before.batch.watermark_ms, before.receipts) == (NOW_MS, [1])
    assert (after.batch.watermark_ms, after.receipts) == (NOW_MS + 62 + by_ms, [4, 2, 3, 5])
    assert shift_of(after.batch) == by_ms
    assert [event.event_id for event in after.batch.events[1:]] == ["b", "c"]
    assert after.batch.events[1].at_ms == NOW_MS + 55 + by_ms


def test_a_batch_that_says_no_time_says_none_after_a_step() -> None:
    batcher: Batcher[int] = Batcher(0, NOW_MS)
    batcher.shift(-DAY_MS, [_told(NOW_MS - DAY_MS, -DAY_MS)], 1, NOW_MS)
    cut = _cut(batcher, NOW_MS + COLLECT_MS)
    assert cut.batch is not None
    assert cut.batch.watermark_ms == 0
    batcher.appended()
    batcher.mark(NOW_MS + 60)
    cut = _cut(batcher, NOW_MS + 2_000)
    assert cut.batch is not None
    assert cut.batch.watermark_ms == NOW_MS + 60 - DAY_MS
