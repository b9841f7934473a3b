"""Delivery rows against the strict stand-in: muted, retried, confirmed, rejected; every attempt a row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError, Permanent, Transient
from contracts.events import Origin
from contracts.findings import Finding, Phase, Severity
from contracts.incidents import AlertAction, DeliveryState
from delivery import outbox
from delivery.backoff import LONGEST_MS, Outcome, after_attempt
from delivery.deliveries import Delivery
from delivery.due import MOST_AT_ONCE
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.receiver import Misconfigured, Receipt, RecordingReceiver
from delivery.receivers.webhook.client import Webhook
from delivery.receivers.webhook.stand_in import Script, StandIn
from incidents.alerts.actions import Command
from incidents.monitor.stuck_work_monitor import PASSING, PASSING_MS, Auditor
from incidents.store.operator_alarms import AlarmCode, raise_alarm, standing_alarms
from tests.delivery.post import Post
from tests.incidents.builders import T0, make_finding

pytestmark = pytest.mark.usefixtures("on_both")

SECRET = b"0123456789abcdef"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(SECRET, now_s=lambda: T0 / 1000) as server:
        yield server


def make_webhook(stand_in: StandIn, **options: object) -> Webhook:
    values = {"timeout_s": 5.0, "now_s": lambda: T0 / 1000} | options
    return Webhook("hook", stand_in.url, SECRET, **values)  # type: ignore[arg-type]


@pytest.mark.service
def test_an_incident_is_told_once_signed_and_without_people_or_rooms(tmp_path: Path, stand_in: StandIn) -> None:
    post = Post(tmp_path, make_webhook(stand_in))
    post.take(make_finding(place_id="r1203", subject=make_finding().subject))
    assert post.drain() == 1
    ((key, message),) = stand_in.accepted.items()
    assert message.incident.building == "b1"
    assert b"1203" not in stand_in.bodies[key]
    assert b"door-1" not in stand_in.bodies[key]
    assert post.states() == [("opened", "delivered", "")]
    assert post.attempts() == [(1, "delivered", "")]
    assert (stand_in.told_twice(), stand_in.repeats, dict(stand_in.refused)) == (0, 0, {})
    assert post.alarms() == []


@pytest.mark.service
@pytest.mark.parametrize(
    ("script", "outcome", "detail", "due_in_ms"),
    [
        (Script(status=500), "retry", "status 500", 1000),
        (Script(status=503, retry_after="7"), "retry", "status 503", 7000),
        (Script(status=429, retry_after="soon"), "retry", "status 429", 1000),
        (Script(status=401), "misconfigured", "status 401", 60_000),
        (Script(status=302), "misconfigured", "status 302", 60_000),
        (Script(status=200, body=b"<html>login</html>"), "unreadable", "", 1000),
        (Script(status=200, body=b'{"delivery_id":"another"}'), "unreadable", "", 1000),
        (Script(status=200, body=b"\x00\xff garbage"), "unreadable", "", 1000),
    ],
)
def test_what_may_pass_is_tried_again_with_the_same_key(
    tmp_path: Path, stand_in: StandIn, script: Script, outcome: str, detail: str, due_in_ms: int
) -> None:
    post = Post(tmp_path, make_webhook(stand_in))
    post.take(make_finding())
    stand_in.answer_next(script)
    assert post.drain() == 1
    assert post.attempts() == [(1, outcome, detail)]
    assert post.due_in_ms() == due_in_ms
    post.clock.advance(due_in_ms)
    assert post.drain() == 1
    assert post.states() == [("opened", "delivered", "")]
    assert len(stand_in.accepted) == 1
    assert post.alarms() == []


@pytest.mark.service
@pytest.mark.parametrize("status", [400, 409, 413, 422, 501])
def test_a_refusal_settles_the_row_with_an_alarm(tmp_path: Path, stand_in: StandIn, status: int) -> None:
    post = Post(tmp_path, make_webhook(stand_in))
    post.take(make_finding())
    stand_in.answer_next(Script(status=status))
    assert post.drain() == 1
    assert post.states() == [("opened", "rejected", "rejected")]
    assert post.alarms() == ["delivery_rejected"]
    assert stand_in.accepted == {}


@pytest.mark.service
def test_an_answer_that_got_lost_is_not_told_twice(tmp_path: Path, stand_in: StandIn) -> None:
    post = Post(tmp_path, make_webhook(stand_in))
    post.take(make_finding())
    stand_in.answer_next(Script(status=500, accept=True))
    post.drain()
    post.clock.advance(1000)
    post.drain()
    assert (len(stand_in.accepted), stand_in.repeats, stand_in.told_twice()) == (1, 1, 0)
    assert post.states() == [("opened", "delivered", "")]


@pytest.mark.service
@pytest.mark.parametrize("script", [Script(delay_s=30.0), Script(body=b"x" * 600, drip_s=0.1)])
def test_a_slow_peer_ends_at_the_limit_and_is_tried_again(tmp_path: Path, stand_in: StandIn, script: Script) -> None:
    post = Post(tmp_path, make_webhook(stand_in, timeout_s=0.4))
    post.take(make_finding())
    stand_in.answer_next(script)
    post.drain()
    ((_nth, outcome, detail),) = post.attempts()
    assert outcome == "retry"
    assert "after at most 0.4 s" in detail


@pytest.mark.service
def test_nobody_listening_is_tried_again_and_alarmed_after_a_while(tmp_path: Path) -> None:
    stand_in = StandIn(SECRET).start()
    webhook = make_webhook(stand_in)
    stand_in.stop()
    post = Post(tmp_path, webhook)
    post.take(make_finding())
    for _ in range(3):
        post.drain()
        post.clock.advance(60_000)
    assert [outcome for _, outcome, _ in post.attempts()] == ["retry"] * 3
    assert post.alarms() == ["receiver_failing"]


@pytest.mark.service
def test_a_wrong_secret_is_refused_by_the_stand_in_and_nothing_counts(tmp_path: Path, stand_in: StandIn) -> None:
    webhook = Webhook("hook", stand_in.url, b"another secret, also long", now_s=lambda: T0 / 1000)
    post = Post(tmp_path, webhook)
    post.take(make_finding())
    post.drain()
    assert dict(stand_in.refused) == {"signature": 1}
    assert stand_in.accepted == {}
    assert post.alarms() == ["receiver_failing"]


@pytest.mark.service
def test_the_loop_delivers_what_commits_while_it_runs_and_stops(tmp_path: Path, stand_in: StandIn) -> None:
    post = Post(tmp_path, make_webhook(stand_in))
    stop = threading.Event()
    thread = threading.Thread(target=post.outbox.run, args=(stop, 30.0))
    thread.start()
    try:
        opened = post.take(make_finding())
        for _ in range(200):
            if stand_in.told_incidents():
                break
            threading.Event().wait(0.02)
        assert stand_in.told_incidents() == set(opened)
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()


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


@pytest.mark.parametrize(
    ("profile", "finding", "reason"),
    [
        ({}, make_finding(origin=Origin.SIMULATED), "origin"),
        ({}, make_finding(origin=Origin.DRILL), "origin"),
        ({}, make_finding(verified=False), "unverified"),
        ({}, make_finding(rule="device_gap"), "severity"),
        ({"sites": ["s2"]}, make_finding(), "site"),
        ({"scenarios": ["smoke_or_heat"]}, make_finding(), "scenario"),
        ({"stale_after_ms": 1000}, make_finding(onset_ms=T0 - 2000), "stale"),
    ],
)
def test_a_muted_row_says_why_and_nothing_is_sent(
    tmp_path: Path, profile: dict[str, object], finding: Finding, reason: str
) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver, **profile)
    post.take(finding)
    post.drain()
    assert post.states() == [("opened", "muted", reason)]
    assert (receiver.got, post.attempts()) == ([], [])


def test_what_is_simulated_goes_only_where_the_profile_allows_it(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver, origins=["live", "simulated"])
    post.take(make_finding(origin=Origin.SIMULATED), make_finding(origin=Origin.DRILL, key="door-2"))
    post.drain()
    assert [state for _, state, _ in post.states()] == ["delivered", "muted"]
    assert len(receiver.got) == 1


def test_a_correction_goes_to_who_was_told_and_to_nobody_else(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook")
    post = Post(tmp_path, receiver)
    post.take(make_finding(), make_finding(key="door-2", verified=False))
    post.drain()
    post.take(make_finding(phase=Phase.RETRACT, nth=1), make_finding(key="door-2", phase=Phase.RETRACT, nth=1))
    post.drain()
    assert sorted(post.states()) == [
        ("corrected", "delivered", ""),
        ("corrected", "muted", "never_told"),
        ("opened", "delivered", ""),
        ("opened", "muted", "unverified"),
    ]
    assert [delivery.kind.value for delivery in receiver.got] == ["opened", "corrected"]


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
def test_rows_that_are_due_together_are_written_down_in_one_transaction_up_to_a_bound(tmp_path: Path) -> None:
    receiver, commits = RecordingReceiver("hook"), list[int]()
    post = Post(tmp_path, receiver)
    post.take(*(make_finding(key=f"door-{n}", onset_ms=T0 + n) for n in range(MOST_AT_ONCE + 2)))
    post.store.bell.listen(lambda: commits.append(len(receiver.got)))
    assert [post.outbox.step() for _ in range(3)] == [MOST_AT_ONCE, 2, 0]
    assert commits == [MOST_AT_ONCE, MOST_AT_ONCE + 2]
    assert {state for _, state, _ in post.states()} == {"delivered"}
    assert len(post.attempts()) == MOST_AT_ONCE + 2


@pytest.mark.usefixtures("unhurried")
def test_what_was_sent_by_a_process_that_died_before_it_wrote_is_sent_again_with_the_same_keys(
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
def test_a_receiver_that_becomes_another_process_s_is_told_no_more_and_what_it_was_told_is_written(
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
        ([Misconfigured("status 401"), Receipt.CONFIRMED], []),
        ([Receipt.CONFIRMED, Misconfigured("status 401")], ["receiver_failing"]),
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


def test_the_auditor_finds_what_has_no_future_step_and_clears_what_has_ended(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    auditor = Auditor(post.store, ["hook", "police"], clock_ms=post.clock)
    (incident_id,) = post.take(make_finding(rule="smoke_or_heat"))
    post.take(make_finding(nth=3, phase=Phase.UPDATE, key="gap"))
    post.clock.advance(61_000)
    codes = sorted(item.code.value for item in auditor.step())
    assert codes == ["delivery_overdue", "finding_waits", "incident_unseen", "incident_untold"]
    assert sorted(post.alarms()) == codes
    post.drain()
    post.actions.act("wang", Command(incident_id=incident_id, action=AlertAction.SEE, version=1))
    assert [item.code.value for item in auditor.step()] == ["finding_waits"]
    assert post.alarms() == ["finding_waits"]
    assert [(kind, state) for kind, state, _ in post.states()] == [("opened", "delivered"), ("opened", "pending")]


@given(
    outcomes=st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=60),
    dice=st.floats(0, 1),
    retry_after_s=st.none() | st.floats(0, 86_400),
)
def test_a_delivery_waits_longer_but_boundedly_and_settles_once(
    outcomes: list[Outcome], dice: float, retry_after_s: float | None
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
            dice=dice,
        )
        settled = step.state is not DeliveryState.PENDING
        if settled:
            break
        floor_ms = int((retry_after_s or 0) * 1000)
        assert floor_ms <= step.due_ms - now_ms <= max(LONGEST_MS, floor_ms)
        assert step.due_ms <= T0 + 72 * 3_600_000
        now_ms = step.due_ms
    ends = {Outcome.DELIVERED, Outcome.REJECTED}
    assert settled or not ends & set(outcomes)


def test_what_happened_once_is_cleared_a_week_later_and_what_lasts_is_not(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    auditor = Auditor(post.store, [], clock_ms=post.clock)
    with post.store.write() as connection:
        for code in PASSING:
            raise_alarm(connection, code, "it", "detail", T0)
        raise_alarm(connection, AlarmCode.RECEIVER_FAILING, "hook", "status 500", T0)
    post.clock.advance(PASSING_MS)
    auditor.step()
    with post.store.write() as connection:
        assert {alarm.code for alarm in standing_alarms(connection)} == {*PASSING, AlarmCode.RECEIVER_FAILING}
        raise_alarm(connection, AlarmCode.RULE_FAILED, "it", "again", T0 + PASSING_MS)
    post.clock.advance(1)
    auditor.step()
    with post.store.read() as connection:
        assert {alarm.code for alarm in standing_alarms(connection)} == {
            AlarmCode.RULE_FAILED,
            AlarmCode.RECEIVER_FAILING,
        }


def test_the_auditor_is_quiet_when_all_is_well(tmp_path: Path) -> None:
    post = Post(tmp_path, RecordingReceiver("hook"))
    post.take(make_finding())
    post.drain()
    assert Auditor(post.store, ["hook"], clock_ms=post.clock).step() == []
    assert post.alarms() == []


def test_a_permanent_error_is_not_retried(tmp_path: Path) -> None:
    receiver = RecordingReceiver("hook", [Permanent("no such customer")])
    post = Post(tmp_path, receiver)
    post.take(make_finding())
    post.drain()
    post.clock.advance(10**9)
    assert post.drain() == 0
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("ftp://example.org/", SECRET),
        ("https://", SECRET),
        ("https://user:pw@example.org/", SECRET),
        ("http://example.org/", SECRET),
        ("https://example.org:99999/", SECRET),
        ("https://example.org/", b"short"),
    ],
)
def test_a_webhook_that_cannot_work_is_refused_at_once(url: str, secret: bytes) -> None:
    with pytest.raises(ConfigurationError, match="receiver hook"):
        Webhook("hook", url, secret)
