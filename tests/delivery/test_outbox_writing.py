"""What attempts came to is written down together, once, and before another is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from contracts.errors import Permanent, Transient
from delivery import outbox
from delivery.deliveries import Delivery
from delivery.due import MOST_AT_ONCE
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receipt, ReceiverMisconfigured
from delivery.recording_receiver import RecordingReceiver
from tests.delivery.post import Post
from tests.incidents.builders import T0, make_finding

pytestmark = pytest.mark.usefixtures("on_both")


def test_an_attempt_that_could_not_be_written_down_is_written_before_another_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver)
    post.take(make_finding())
    with monkeypatch.context() as away:
        away.setattr(post.store, "write", raising(Transient("the database is away")))
        with pytest.raises(Transient, match="away"):
            post.outbox.step()
    assert post.states() == [("opened", "pending", "")]
    assert post.drain() == 1
    assert post.drain() == 0
    assert (len(receiver.got), post.states()) == (1, [("opened", "delivered", "")])


def test_an_attempt_that_another_process_made_too_is_written_once(tmp_path: Path) -> None:
    ours, theirs = Meanwhile("hook"), RecordingReceiver("hook")
    post = Post(tmp_path, ours)
    post.take(make_finding())
    ours.meanwhile = Outbox(post.store, theirs, ReceiverProfile(name="hook"), clock_ms=post.clock).step
    assert post.outbox.step()
    assert post.attempts() == [(1, "delivered", "")]
    assert post.states() == [("opened", "delivered", "")]
    assert [d.delivery_id for d in ours.got] == [d.delivery_id for d in theirs.got]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step has time for all that is due, however slow the machine is."""
    monkeypatch.setattr(outbox, "BEGIN_FOR_S", 3600.0)


@pytest.mark.usefixtures("unhurried")
def test_rows_due_together_are_written_in_one_transaction_up_to_a_bound(tmp_path: Path) -> None:
    receiver, commits = RecordingReceiver("hook"), list[int]()
    post = Post(tmp_path, receiver)
    post.take(*(make_finding(key=f"door-{n}", onset_ms=T0 + n) for n in range(MOST_AT_ONCE + 2)))
    post.store.commit_signal.subscribe(lambda: commits.append(len(receiver.got)))
    assert [post.outbox.step() for _ in range(3)] == [MOST_AT_ONCE, 2, 0]
    assert commits == [MOST_AT_ONCE, MOST_AT_ONCE + 2]
    assert {state for _, state, _ in post.states()} == {"delivered"}
    assert len(post.attempts()) == MOST_AT_ONCE + 2


@pytest.mark.usefixtures("unhurried")
def test_attempts_of_a_process_that_died_unwritten_are_repeated_with_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver)
    post.take(*(make_finding(key=f"door-{n}") for n in range(3)), make_finding(key="door-9", verified=False))
    with monkeypatch.context() as away:
        away.setattr(post.store, "write", raising(Died()))
        with pytest.raises(Died):
            post.outbox.step()
    post.outbox = Outbox(post.store, receiver, ReceiverProfile(name="hook"), clock_ms=post.clock)
    assert post.drain() == 4
    sent = [(delivery.delivery_id, delivery.payload) for delivery in receiver.got]
    assert sent[:3] == sent[3:]
    assert sorted(state for _, state, _ in post.states()) == ["delivered"] * 3 + ["muted"]
    assert post.attempts() == [(1, "delivered", "")] * 3


@pytest.mark.usefixtures("unhurried")
def test_a_receiver_lost_to_another_process_is_left_and_its_attempts_are_written(
    tmp_path: Path,
) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver)
    post.take(*(make_finding(key=f"door-{n}") for n in range(5)))
    assert post.outbox.step(lambda: len(receiver.got) < 2) == 2
    assert (len(receiver.got), len(post.attempts())) == (2, 2)


def test_no_attempt_begins_when_those_before_took_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    post.take(*(make_finding(key=f"door-{n}") for n in range(3)))
    monkeypatch.setattr(outbox, "BEGIN_FOR_S", -1.0)
    assert [post.outbox.step() for _ in range(4)] == [1, 1, 1, 0]


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    ("answers", "alarms"),
    [
        ([ReceiverMisconfigured("status 401"), Receipt.CONFIRMED], []),
        ([Receipt.CONFIRMED, ReceiverMisconfigured("status 401")], ["receiver_failing"]),
        ([Permanent("no"), Transient("down")], ["delivery_rejected"]),
    ],
)
def test_whether_a_receiver_fails_is_what_the_last_of_several_attempts_says(
    tmp_path: Path, answers: list[Receipt | Exception], alarms: list[str]
) -> None:
    post = Post(tmp_path, RecordingReceiver("hook", answers))
    post.take(*(make_finding(key=f"door-{n}") for n in range(2)))
    assert post.outbox.step() == 2
    assert post.alarms() == alarms


class Died(BaseException):
    """The process dies here."""


class Meanwhile(RecordingReceiver):
    """While it is told, something else happens."""

    meanwhile: Callable[[], int]

    def send(self, delivery: Delivery) -> Receipt:
        assert self.meanwhile()
        return super().send(delivery)


def raising(error: BaseException) -> Callable[[], NoReturn]:
    """Something that fails."""

    def fail() -> NoReturn:
        raise error

    return fail
