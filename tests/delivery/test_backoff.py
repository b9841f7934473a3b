"""When a delivery is tried again, and when it is given up."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Permanent, Transient
from contracts.incidents import DeliveryState
from delivery.backoff import LIFE_SAFETY_LONGEST_MS, LONGEST_MS, AttemptOutcome, after_attempt
from delivery.receiver import Receipt
from delivery.recording_receiver import RecordingReceiver
from incidents.monitor.stuck_work_monitor import StuckWorkMonitor
from tests.delivery.post import Post
from tests.incidents.builders import T0, make_finding

pytestmark = pytest.mark.usefixtures("on_both")


def test_a_receipt_that_never_becomes_readable_ends_unconfirmed_with_an_alarm(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook", [Receipt.UNREADABLE] * 9))
    post.take(make_finding())
    for _ in range(9):
        post.drain()
        post.clock.advance(3_600_000)
    assert post.states() == [("opened", "unconfirmed", "unreadable_receipt")]
    assert len(post.attempts()) == 5
    assert "delivery_unconfirmed" in post.alarms()


def test_what_nobody_accepts_for_three_days_is_given_up_with_an_alarm(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook", [Transient("down")] * 400))
    post.take(make_finding())
    for _ in range(400):
        post.drain()
        post.clock.advance(900_000)
    assert post.states() == [("opened", "rejected", "gave_up")]
    assert "delivery_rejected" in post.alarms()
    assert 280 <= len(post.attempts()) <= 300


@given(
    outcomes=st.lists(st.sampled_from(list(AttemptOutcome)), min_size=1, max_size=60),
    jitter=st.floats(0, 1),
    retry_after_s=st.none() | st.floats(0, 86_400) | st.just(math.inf),
    longest=st.sampled_from([LONGEST_MS, LIFE_SAFETY_LONGEST_MS]),
)
def test_a_delivery_waits_longer_but_boundedly_and_settles_once(
    outcomes: list[AttemptOutcome], jitter: float, retry_after_s: float | None, longest: int
) -> None:
    now_ms, settled = T0, False
    for attempt, outcome in enumerate(outcomes, start=1):
        step = after_attempt(
            outcome,
            attempt=attempt,
            now_ms=now_ms,
            created_ms=T0,
            give_up_ms=72 * 3_600_000,
            retry_after_s=retry_after_s,
            jitter=jitter,
            longest_ms=longest,
        )
        settled = step.state is not DeliveryState.PENDING
        if settled:
            break
        floor_ms = int(min((retry_after_s or 0) * 1000, longest))
        assert floor_ms <= step.due_ms - now_ms <= longest
        assert step.due_ms <= T0 + 72 * 3_600_000
        now_ms = step.due_ms
    ends = {AttemptOutcome.DELIVERED, AttemptOutcome.REJECTED}
    assert settled or not ends & set(outcomes)


@pytest.mark.parametrize(
    ("rule", "retry_ms", "alarm_ms"), [("smoke_or_heat", 120_000, 120_000), ("device_silent", 900_000, 900_000)]
)
def test_a_receiver_that_asks_for_a_days_patience_is_asked_again_within_minutes(
    rule: str, retry_ms: int, alarm_ms: int, tmp_path: Path
) -> None:
    post = Post(tmp_path, RecordingReceiver("hook", [Transient("status 503", 86_400.0)] * 5))
    monitor = StuckWorkMonitor(post.store, ["hook"], clock_ms=post.clock)
    post.take(make_finding(rule=rule))
    post.drain()
    assert post.due_in_ms() == retry_ms
    post.clock.advance(alarm_ms)
    post.drain()
    monitor.step()
    assert "delivery_waits" not in post.alarms()
    post.clock.advance(1)
    monitor.step()
    assert "delivery_waits" in post.alarms()
    for _ in range(5):
        post.clock.advance(retry_ms)
        post.drain()
    monitor.step()
    assert [state for _, state, _ in post.states()] == ["delivered"]
    assert not {"delivery_waits", "receiver_failing"} & set(post.alarms())


def test_a_permanent_error_is_not_retried(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook", [Permanent("no such customer")])
    post = Post(tmp_path, receiver)
    post.take(make_finding())
    post.drain()
    post.clock.advance(10**9)
    assert post.drain() == 0
    assert len(receiver.got) == 1
