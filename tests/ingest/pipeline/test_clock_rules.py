"""Skewed clocks are shifted once measured, the future becomes now, the ancient is refused, stored rows don't count."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Rejected, RejectReason
from contracts.events import DeviceStateChanged, ObjectFell
from ingest.pipeline.clock_rules import ClockRules
from ingest.pipeline.source_clock import (
    EPOCH_EVENTS,
    EPOCH_MS,
    FAULT_TOLD_MS,
    FUTURE_MS,
    LIVE_MS,
    SHIFT_ABOVE_MS,
    TOO_OLD_MS,
)
from tests.ingest.builders import NOW_MS, door, power, reported, row, site, smoke

HOUR_MS = 3_600_000


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


def test_what_is_marked_as_stored_is_refused_beyond_thirty_days() -> None:
    rules = ClockRules()
    oldest_ms = NOW_MS - TOO_OLD_MS
    assert rules.apply(door(at_ms=oldest_ms, stored=True), NOW_MS).at_ms == oldest_ms
    with pytest.raises(Rejected) as caught:
        rules.apply(door(at_ms=oldest_ms - 1, stored=True), NOW_MS)
    assert caught.value.reason is RejectReason.TOO_OLD


IMPOSSIBLE = {
    "nothing": (0, None, "at_ms cannot be read"),
    "since its start": (11_000, None, "at_ms 11000: never set since it started (1970)?"),
    "seconds": (NOW_MS // 1_000, None, f"at_ms {NOW_MS // 1_000}: seconds instead of milliseconds?"),
    "microseconds": (0, NOW_MS * 1_000, f"at_ms {NOW_MS * 1_000}: microseconds instead of milliseconds?"),
    "nanoseconds": (0, NOW_MS * 10**6, f"at_ms {NOW_MS * 10**6}: nanoseconds instead of milliseconds?"),
    "a year ahead": (NOW_MS + 365 * 86_400_000, None, f"at_ms {NOW_MS + 365 * 86_400_000}: 365 days ahead"),
    "two months behind": (NOW_MS - 60 * 86_400_000, None, f"at_ms {NOW_MS - 60 * 86_400_000}: 60 days behind"),
}


@pytest.mark.parametrize(("at_ms", "claimed", "fault"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_live_message_was_received_now_whatever_its_clock_says(at_ms: int, claimed: int | None, fault: str) -> None:
    rules = ClockRules()
    event = rules.apply(smoke(at_ms=at_ms), NOW_MS, claimed=claimed)
    assert (event.at_ms, event.received_ms, event.untrusted, event.stored) == (NOW_MS, NOW_MS, True, False)
    assert event.device_at_ms == at_ms
    assert [(record.speaker, record.fault) for record in rules.records()] == [("smoke-1", fault)]


NO_TIMES = {**IMPOSSIBLE, "GPS week rollover": (NOW_MS - 1_024 * 7 * 86_400_000, None, "7168 days behind")}


@pytest.mark.parametrize(("at_ms", "claimed", "fault"), NO_TIMES.values(), ids=NO_TIMES)
def test_a_stored_alarm_without_a_time_that_can_be_was_received_now(at_ms: int, claimed: int, fault: str) -> None:
    rules = ClockRules()
    event = rules.apply(smoke(at_ms=at_ms, stored=True), NOW_MS, claimed=claimed)
    assert (event.at_ms, event.received_ms, event.untrusted, event.stored) == (NOW_MS, NOW_MS, True, False)
    assert event.device_at_ms == at_ms
    (record,) = rules.records()
    assert record.fault.endswith(fault)
    again = rules.apply(smoke(at_ms=at_ms, stored=True), NOW_MS, claimed=claimed, doubted=True)
    assert (again.at_ms, again.untrusted, again.stored) == (NOW_MS, True, False)


@pytest.mark.parametrize("at_ms", [0, 11_000, NOW_MS // 1_000, NOW_MS - 1_024 * 7 * 86_400_000])
def test_also_where_the_devices_live_messages_tell_the_time(at_ms: int) -> None:
    rules = ClockRules()
    rules.apply(smoke(at_ms=NOW_MS - 60_000, alarm=False), NOW_MS - 60_000)
    event = rules.apply(smoke(at_ms=at_ms, stored=True), NOW_MS)
    assert (event.at_ms, event.untrusted, event.stored) == (NOW_MS, True, False)
    for later_ms, told in ((1_000, True), (FAULT_TOLD_MS, False)):
        rules.apply(smoke(at_ms=NOW_MS + later_ms, alarm=False), NOW_MS + later_ms)
        assert any(record.fault for record in rules.records()) == told


def test_an_old_alarm_of_a_clock_that_is_right_stays_old() -> None:
    rules, days_ms = ClockRules(), 86_400_000
    rules.apply(smoke(at_ms=NOW_MS - 60_000, alarm=False), NOW_MS - 60_000)
    kept = rules.apply(smoke(at_ms=NOW_MS - 29 * days_ms, stored=True), NOW_MS)
    assert (kept.at_ms, kept.stored, kept.untrusted) == (NOW_MS - 29 * days_ms, True, False)
    with pytest.raises(Rejected):
        rules.apply(smoke(at_ms=NOW_MS - 40 * days_ms, stored=True), NOW_MS)


def test_what_a_box_kept_for_a_month_is_old_and_what_is_of_1970_is_a_fall_now() -> None:
    fall = ObjectFell(
        event_id="f", site_id="s1", source_id="c2", place_id="facade", at_ms=NOW_MS - 40 * 86_400_000, track_id=1,
        started_ms=NOW_MS - 40 * 86_400_000 - 900, duration_ms=900, calibrated=True, spool=row(1).spool, stored=True,
    )  # fmt: skip
    with pytest.raises(Rejected):
        ClockRules().apply(fall, NOW_MS)
    event = ClockRules().apply(msgspec.structs.replace(fall, at_ms=11_000, started_ms=10_100), NOW_MS)
    assert (event.at_ms, event.started_ms, event.untrusted, event.stored) == (NOW_MS, NOW_MS - 900, True, False)


def test_a_clock_that_cannot_be_used_is_never_measured_and_is_right_again_at_once() -> None:
    rules = ClockRules()
    for n in range(20):
        now_ms = NOW_MS + n * EPOCH_MS
        assert rules.apply(door(at_ms=11_000 + n * EPOCH_MS), now_ms).at_ms == now_ms
    assert rules.skews_ms() == {}
    assert rules.records()[0].fault_ms == NOW_MS
    event = rules.apply(door(at_ms=now_ms + 990), now_ms + 1_000)
    assert (event.at_ms, event.untrusted, rules.records()) == (now_ms + 990, False, [])


def test_measured_clocks_outlive_the_process() -> None:
    before = ClockRules()
    now_ms = _warm(before, -8 * HOUR_MS)
    after = ClockRules()
    after.load(before.records())
    event = after.apply(door(at_ms=now_ms - 20 - 8 * HOUR_MS), now_ms)
    assert (event.at_ms, event.untrusted, event.stored) == (now_ms, False, False)
    assert after.records() == before.records()


@pytest.mark.parametrize("skew_ms", [-8 * HOUR_MS, 8 * HOUR_MS])
def test_a_clock_that_was_put_right_while_ingest_was_away_is_believed(skew_ms: int) -> None:
    before = ClockRules()
    now_ms = _warm(before, skew_ms)
    after = ClockRules()
    after.load(before.records())
    assert after.apply(door(at_ms=now_ms - 20), now_ms).at_ms == now_ms - 20


def test_an_alarm_happens_when_it_is_received_unless_it_was_stored() -> None:
    rules = ClockRules()
    _warm(rules, 0)
    live = rules.apply(smoke(at_ms=NOW_MS - 8 * HOUR_MS), NOW_MS)
    queued = rules.apply(smoke(at_ms=NOW_MS - 60_000), NOW_MS, timely=False)
    kept = rules.apply(msgspec.structs.replace(smoke(at_ms=NOW_MS - 60_000), stored=True), NOW_MS)
    assert [(e.at_ms, e.untrusted) for e in (live, queued, kept)] == [
        (NOW_MS, True),
        (NOW_MS, False),
        (NOW_MS - 60_000, False),
    ]


def test_an_unknown_clock_that_is_behind_is_judged_by_receipt_until_it_is_measured() -> None:
    rules = ClockRules()
    for n in range(20):
        now_ms = NOW_MS + n * 10_000
        event = rules.apply(reported(at_ms=now_ms - 8 * HOUR_MS), now_ms)
        assert (event.at_ms, event.stored) == (now_ms, False)
    assert not event.untrusted  # measured by now
    assert rules.skews_ms() == {("s1", "g1"): 8 * HOUR_MS}


def test_a_clock_that_steps_back_is_taken_by_receipt_from_its_second_message_on() -> None:
    rules = ClockRules()
    now_ms = _warm(rules, 0)
    said = []
    for _ in range(4):
        now_ms += 60_000
        said.append(rules.apply(reported(at_ms=now_ms - HOUR_MS), now_ms))
    assert [(event.stored, event.untrusted) for event in said] == [(True, True)] + [(False, True)] * 3
    assert said[1].at_ms == said[1].received_ms


def _backlog(order: list[int]) -> list[tuple[bool, bool, int]]:
    """Of a meter that was heard, then for five hours not, and sends a reading of each two minutes every two seconds."""
    rules = ClockRules()
    rules.apply(power(at_ms=NOW_MS - 5 * HOUR_MS), NOW_MS - 5 * HOUR_MS + 50)
    back_ms, told = NOW_MS, []
    for number in order:
        back_ms += 2_000
        event = rules.apply(power(at_ms=NOW_MS - 5 * HOUR_MS + number * 120_000), back_ms)
        told.append((event.stored, event.untrusted, event.at_ms - (NOW_MS - 5 * HOUR_MS)))
    assert rules.skews_ms() == {}
    return told


def test_what_a_device_had_kept_without_saying_so_is_marked() -> None:
    assert _backlog(list(range(1, 100))) == [(True, True, n * 120_000) for n in range(1, 100)]


def test_what_a_device_had_kept_and_sends_out_of_order_is_marked() -> None:
    order = [n * 37 % 100 + 1 for n in range(100)]
    assert _backlog(order) == [(True, True, n * 120_000) for n in order]


def test_a_box_marks_what_it_kept_so_its_old_rows_are_its_clock() -> None:
    rules = ClockRules()
    rules.apply(row(1, at_ms=NOW_MS), NOW_MS)
    event = rules.apply(row(2, at_ms=NOW_MS - HOUR_MS), NOW_MS + 60_000)
    assert (event.at_ms, event.untrusted, event.stored) == (NOW_MS + 60_000, True, False)


@pytest.mark.parametrize("off_ms", [-60 * 24 * HOUR_MS, -5 * HOUR_MS, 5 * HOUR_MS, 20 * 24 * HOUR_MS])
def test_clocks_that_were_measured_by_a_wrong_one_are_right_after_its_step(off_ms: int) -> None:
    rules = ClockRules()
    for n in range(20):  # a right device, heard by a machine whose clock is off
        rules.apply(door(at_ms=NOW_MS + n * 10_000), NOW_MS + n * 10_000 + off_ms)
    rules.shift(-off_ms)
    event = rules.apply(door(at_ms=NOW_MS + 300_000), NOW_MS + 300_010)
    assert (event.at_ms, event.untrusted, event.stored, event.future) == (NOW_MS + 300_000, False, False, False)
    assert rules.skews_ms() == {}


def test_while_the_machines_clock_is_doubted_nothing_is_measured_refused_or_blamed() -> None:
    rules = ClockRules()
    for n in range(20):
        at_ms = NOW_MS + n * 10_000
        live = rules.apply(door(at_ms=at_ms + 200 * 24 * HOUR_MS), at_ms, doubted=True)
        assert (live.at_ms, live.untrusted) == (at_ms, True)
        kept = rules.apply(door(at_ms=at_ms + 200 * 24 * HOUR_MS - HOUR_MS, stored=True), at_ms, doubted=True)
        assert (kept.at_ms, kept.stored, kept.untrusted) == (at_ms - HOUR_MS, True, True)
    assert rules.records() == []
    assert not rules.agreed
    rules.apply(door(at_ms=at_ms - 50), at_ms, doubted=True)
    assert rules.agreed


@pytest.mark.parametrize("claims_ms", [11_000 + HOUR_MS, NOW_MS - 60 * 24 * HOUR_MS, NOW_MS + 60 * 24 * HOUR_MS])
def test_what_a_device_stored_is_as_old_as_its_own_clock_says(claims_ms: int) -> None:
    rules = ClockRules()
    rules.apply(door(at_ms=claims_ms), NOW_MS)
    event = rules.apply(door("old", at_ms=claims_ms - 600_000, stored=True), NOW_MS + 50)
    assert (event.at_ms, event.stored, event.untrusted) == (NOW_MS - 600_000, True, True)


def test_what_the_broker_kept_for_us_is_as_old_as_it_says() -> None:
    event = ClockRules().apply(door(at_ms=NOW_MS - HOUR_MS), NOW_MS, timely=False)
    assert (event.at_ms, event.untrusted, event.stored) == (NOW_MS - HOUR_MS, False, False)


def test_what_a_device_says_about_receipt_is_ignored() -> None:
    event = ClockRules().apply(door(received_ms=5, device_at_ms=6, future=True, untrusted=True), NOW_MS)
    assert (event.received_ms, event.device_at_ms, event.future, event.untrusted) == (NOW_MS, None, False, False)


def test_a_last_will_happens_when_it_is_received() -> None:
    will = DeviceStateChanged(
        event_id="w", site_id="s1", source_id="g1", place_id="p", at_ms=NOW_MS - 90 * 86_400_000, online=False
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
        assert event.stored or event.at_ms >= now_ms - LIVE_MS
