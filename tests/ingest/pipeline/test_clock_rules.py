"""Skewed clocks are shifted once measured, the future becomes now, the ancient is refused, stored rows don't count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Rejected, RejectReason
from contracts.events import DeviceStateChanged, ObjectFell
from ingest.pipeline.clock_rules import EPOCH_EVENTS, EPOCH_MS, FUTURE_MS, SHIFT_ABOVE_MS, TOO_OLD_MS, ClockRules
from tests.ingest.builders import NOW_MS, door, row, site


def _warm(rules: ClockRules, skew_ms: int, *, delay_ms: int = 20, stored: bool = False, events: int = 12) -> int:
    """Feed an epoch of a clock that is off by ``skew_ms``; the time after it."""
    now_ms = NOW_MS
    for n in range(events):
        now_ms = NOW_MS + n * EPOCH_MS // (events - 1)
        rules.apply(door(at_ms=now_ms - delay_ms + skew_ms, stored=stored), now_ms)
    return now_ms + 1_000


def test_a_good_clock_is_left_alone() -> None:
    rules = ClockRules()
    now_ms = _warm(rules, 0)
    event = rules.apply(door(at_ms=now_ms - 90), now_ms)
    assert (event.at_ms, event.device_at_ms, event.received_ms, event.future) == (now_ms - 90, None, now_ms, False)
    assert rules.skews_ms() == {}


@pytest.mark.parametrize("skew_ms", [-8_000, -600, 1_400, 5_000, 3_600_000])
def test_a_skewed_clock_is_shifted_once_it_is_measured_and_the_original_is_kept(skew_ms: int) -> None:
    rules = ClockRules()
    now_ms = _warm(rules, skew_ms)
    event = rules.apply(door(at_ms=now_ms - 20 + skew_ms), now_ms)
    assert abs(event.at_ms - now_ms) <= 20
    assert event.device_at_ms == now_ms - 20 + skew_ms
    assert list(rules.skews_ms()) == [("s1", "g1")]


def test_delays_on_the_way_are_no_skew() -> None:
    rules = ClockRules()
    now_ms = NOW_MS
    for n in range(40):
        now_ms = NOW_MS + n * 5_000
        delay_ms = 30 if n % 5 == 0 else 4_000
        event = rules.apply(door(at_ms=now_ms - delay_ms), now_ms)
        assert event.at_ms == now_ms - delay_ms


def test_what_was_stored_or_queued_never_measures_a_clock() -> None:
    rules = ClockRules()
    _warm(rules, -60_000, stored=True)
    for n in range(40):
        rules.apply(door(at_ms=NOW_MS + n * 5_000 - 60_000), NOW_MS + n * 5_000, timely=False)
    assert rules.skews_ms() == {}


def test_one_wild_time_does_not_move_a_clock() -> None:
    rules = ClockRules()
    rules.apply(door(at_ms=NOW_MS + 86_400_000), NOW_MS)
    now_ms = _warm(rules, 0)
    assert rules.apply(door(at_ms=now_ms - 5), now_ms).at_ms == now_ms - 5


def test_a_clock_that_was_put_right_is_believed_at_once() -> None:
    rules = ClockRules()
    now_ms = _warm(rules, -60_000)
    event = rules.apply(door(at_ms=now_ms - 20), now_ms)
    assert (event.at_ms, event.future, event.device_at_ms) == (now_ms - 20, False, None)
    assert rules.skews_ms() == {}


def test_the_future_becomes_now_and_is_flagged() -> None:
    rules = ClockRules()
    event = rules.apply(door(at_ms=NOW_MS + FUTURE_MS + 1), NOW_MS)
    assert (event.at_ms, event.future, event.device_at_ms) == (NOW_MS, True, NOW_MS + FUTURE_MS + 1)
    near = rules.apply(door(at_ms=NOW_MS + FUTURE_MS), NOW_MS)
    assert (near.at_ms, near.future) == (NOW_MS + FUTURE_MS, False)


def test_thirty_days_back_is_refused() -> None:
    rules = ClockRules()
    assert rules.apply(door(at_ms=NOW_MS - TOO_OLD_MS), NOW_MS).at_ms == NOW_MS - TOO_OLD_MS
    with pytest.raises(Rejected) as caught:
        rules.apply(door(at_ms=NOW_MS - TOO_OLD_MS - 1), NOW_MS)
    assert caught.value.reason is RejectReason.TOO_OLD


def test_what_a_device_says_about_receipt_is_ignored() -> None:
    event = ClockRules().apply(door(received_ms=5, device_at_ms=6, future=True), NOW_MS)
    assert (event.received_ms, event.device_at_ms, event.future) == (NOW_MS, None, False)


def test_a_last_will_happens_when_it_is_received() -> None:
    will = DeviceStateChanged(
        event_id="w", site_id="s1", source_id="g1", place_id="p", at_ms=NOW_MS - 90 * 60_000, online=False
    )
    rules = ClockRules()
    event = rules.apply(will, NOW_MS)
    assert (event.at_ms, event.device_at_ms) == (NOW_MS, will.at_ms)


def test_cameras_share_their_boxs_clock_and_a_fall_moves_as_a_whole() -> None:
    rules = ClockRules()
    for n in range(EPOCH_EVENTS + 1):
        now_ms = NOW_MS + n * EPOCH_MS // EPOCH_EVENTS
        rules.apply(row(n, at_ms=now_ms + 5_000), now_ms)
    now_ms += 100
    fall = ObjectFell(
        event_id="f", site_id="s1", source_id="c2", place_id="facade", at_ms=now_ms + 5_000, track_id=1,
        started_ms=now_ms + 4_000, duration_ms=1_000, calibrated=True, spool=row(99).spool,
    )  # fmt: skip
    event = rules.apply(fall, now_ms)
    assert event.at_ms == now_ms
    assert event.started_ms == now_ms - 1_000


def test_a_configuration_record_happens_when_it_is_written() -> None:
    assert ClockRules().apply(site(), NOW_MS + 77).at_ms == NOW_MS + 77


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(-20_000, 40_000), st.booleans()), max_size=60))
def test_whatever_comes_at_ms_is_never_far_ahead_and_the_claim_is_kept(steps: list[tuple[int, int, bool]]) -> None:
    rules, now_ms = ClockRules(), NOW_MS
    for gap_ms, lag_ms, stored in steps:
        now_ms += gap_ms
        event = rules.apply(door(at_ms=now_ms - lag_ms, stored=stored), now_ms)
        assert event.at_ms <= now_ms + FUTURE_MS
        moved = event.at_ms != now_ms - lag_ms
        assert event.device_at_ms == (now_ms - lag_ms if moved else None)
        assert not moved or event.future or abs(event.at_ms - (now_ms - lag_ms)) > SHIFT_ABOVE_MS
