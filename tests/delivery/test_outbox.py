"""The outbox of one receiver: what is told first, in which order, by which process."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from contracts.errors import Transient
from contracts.findings import Phase, Severity
from contracts.incidents import AlertAction
from delivery.outbox import WIDE_EVERY_MS
from delivery.recording_receiver import RecordingReceiver
from incidents.alerts.actions import Command
from tests.delivery.post import Post
from tests.incidents.builders import make_finding

pytestmark = pytest.mark.usefixtures("on_both")


def test_news_of_one_incident_keeps_its_order_while_the_first_is_retried(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook", [Transient("down", retry_after_s=30.0)])
    post = Post(tmp_path, receiver)
    (incident_id,) = post.take(make_finding())
    post.drain()
    post.actions.act("wang", Command(incident_id=incident_id, action=AlertAction.HANDLE, version=1))
    assert post.drain() == 0
    post.clock.advance(30_000)
    assert post.drain() == 2
    assert [delivery.kind.value for delivery in receiver.got] == ["opened", "opened", "closed"]


def test_life_safety_goes_first_and_one_failure_does_not_hold_up_others(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook", [Transient("down")])
    post = Post(tmp_path, receiver)
    post.take(make_finding(), make_finding(rule="smoke_or_heat"), make_finding(key="door-2"))
    assert post.drain() == 3
    assert msgspec.json.decode(receiver.got[0].payload)["incident"]["scenario"] == "smoke_or_heat"
    assert sorted(state for _, state, _ in post.states()) == ["delivered", "delivered", "pending"]


def test_every_attempt_of_a_delivery_has_the_same_bytes(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook", [Transient("down")])
    post = Post(tmp_path, receiver)
    post.take(make_finding())
    post.drain()
    post.take(make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL))
    post.clock.advance(1000)
    post.drain()
    first, second, raised = receiver.got
    assert first.payload == second.payload
    assert raised.kind.value == "raised"
    assert msgspec.json.decode(raised.payload)["incident"]["severity"] == "critical"


def test_a_receiver_that_is_another_process_s_is_left_alone(tmp_path: Path) -> None:
    receiver, stop, asked = RecordingReceiver("hook"), threading.Event(), threading.Semaphore(0)
    post = Post(tmp_path, receiver)
    post.take(make_finding())

    def not_mine() -> bool:
        asked.release()
        return False

    running = threading.Thread(target=post.outbox.run, args=(stop, 0.01), kwargs={"mine": not_mine})
    running.start()
    assert all(asked.acquire(timeout=30) for _ in range(3))
    stop.set()
    running.join(30)
    assert (running.is_alive(), receiver.got) == (False, [])


@pytest.mark.parametrize("back_ms", [5 * 3_600_000, 60 * 86_400_000])
def test_news_of_a_machine_whose_clock_went_back_does_not_wait_for_it(tmp_path: Path, back_ms: int) -> None:
    receiver = RecordingReceiver("hook", [Transient("down"), Transient("still down")])
    post = Post(tmp_path, receiver)
    post.take(make_finding())
    assert post.drain() == 1
    post.clock.advance(-back_ms)
    assert post.drain() == 1
    assert post.due_in_ms() == 2_000  # its back-off is of the right clock again
    post.clock.advance(2_000)
    assert post.drain() == 1
    assert [state for _, state, _ in post.states()] == ["delivered"]


def test_news_of_another_machine_whose_clock_was_ahead_is_sent_within_seconds(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver)
    assert post.drain() == 0
    post.clock.advance(5 * 3_600_000)
    post.take(make_finding())
    post.clock.advance(-5 * 3_600_000)
    waited_ms = 0
    while not post.drain():
        post.clock.advance(1_000)
        waited_ms += 1_000
        assert waited_ms <= WIDE_EVERY_MS
    assert [state for _, state, _ in post.states()] == ["delivered"]


def test_all_that_waits_of_a_clock_that_was_ahead_goes_out_together(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook", [Transient("down")])
    post = Post(tmp_path, receiver)
    assert post.drain() == 0
    post.clock.advance(5 * 3_600_000)
    ids = post.take(*(make_finding(key=f"door-{n}") for n in range(40)))
    post.actions.act("wang", Command(incident_id=ids[0], action=AlertAction.HANDLE, version=1))
    post.clock.advance(-5 * 3_600_000 + WIDE_EVERY_MS)
    post.drain()
    waiting = [kind for kind, state, _ in post.states() if state == "pending"]
    assert waiting[:1] == ["opened"]  # only what failed waits its usual time, and what follows it behind it
    assert len(waiting) <= 2
    for _ in waiting:
        post.clock.advance(WIDE_EVERY_MS)
        post.drain()
    assert "pending" not in {state for _, state, _ in post.states()}
    assert len(receiver.got) >= 40
