"""The webhook as the outbox uses it, against the strict stand-in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from delivery.receivers.webhook.client import SecretFiles, Webhook
from delivery.receivers.webhook.settings import WebhookSettings
from delivery.receivers.webhook.stand_in import ScriptedResponse, StandIn
from tests.delivery.post import Post
from tests.incidents.builders import T0, make_finding
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("on_both")

SECRET = "0123456789abcdef"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(SECRET.encode(), now_s=lambda: T0 / 1000) as server:
        yield server


def make_webhook(stand_in: StandIn, *, secret: str = SECRET, timeout_s: float = 5.0) -> Webhook:
    settings = WebhookSettings(url=stand_in.url, secret_file=Path("hook.secret"), timeout_s=timeout_s)
    return Webhook("hook", settings, Secret(secret), now_s=lambda: T0 / 1000)


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
        (ScriptedResponse(status=500), "retry", "status 500", 1000),
        (ScriptedResponse(status=503, retry_after="7"), "retry", "status 503", 7000),
        (ScriptedResponse(status=429, retry_after="soon"), "retry", "status 429", 1000),
        (ScriptedResponse(status=401), "misconfigured", "status 401", 60_000),
        (ScriptedResponse(status=302), "misconfigured", "status 302", 60_000),
        (ScriptedResponse(status=200, body=b"<html>login</html>"), "unreadable", "", 1000),
        (ScriptedResponse(status=200, body=b'{"delivery_id":"another"}'), "unreadable", "", 1000),
        (ScriptedResponse(status=200, body=b"\x00\xff garbage"), "unreadable", "", 1000),
    ],
)
def test_what_may_pass_is_tried_again_with_the_same_key(
    tmp_path: Path, stand_in: StandIn, script: ScriptedResponse, outcome: str, detail: str, due_in_ms: int
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
    stand_in.answer_next(ScriptedResponse(status=status))
    assert post.drain() == 1
    assert post.states() == [("opened", "rejected", "rejected")]
    assert post.alarms() == ["delivery_rejected"]
    assert stand_in.accepted == {}


@pytest.mark.service
def test_an_answer_that_got_lost_is_not_told_twice(tmp_path: Path, stand_in: StandIn) -> None:
    post = Post(tmp_path, make_webhook(stand_in))
    post.take(make_finding())
    stand_in.answer_next(ScriptedResponse(status=500, accept=True))
    post.drain()
    post.clock.advance(1000)
    post.drain()
    assert (len(stand_in.accepted), stand_in.repeats, stand_in.told_twice()) == (1, 1, 0)
    assert post.states() == [("opened", "delivered", "")]


@pytest.mark.service
@pytest.mark.parametrize("script", [ScriptedResponse(delay_s=30.0), ScriptedResponse(body=b"x" * 600, drip_s=0.1)])
def test_a_slow_peer_ends_at_the_limit_and_is_tried_again(
    tmp_path: Path, stand_in: StandIn, script: ScriptedResponse
) -> None:
    post = Post(tmp_path, make_webhook(stand_in, timeout_s=0.4))
    post.take(make_finding())
    stand_in.answer_next(script)
    post.drain()
    ((_nth, outcome, detail),) = post.attempts()
    assert outcome == "retry"
    assert "after at most 0.4 s" in detail


@pytest.mark.service
def test_nobody_listening_is_tried_again_and_alarmed_after_a_while(tmp_path: Path) -> None:
    stand_in = StandIn(SECRET.encode()).start()
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
    webhook = make_webhook(stand_in, secret="another secret, also long")
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
        until(lambda: bool(stand_in.told_incidents()), "the receiver to be told", 60.0)
        assert stand_in.told_incidents() == set(opened)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_a_secret_that_is_too_short_is_refused_without_showing_it() -> None:
    settings = WebhookSettings(url="https://receiver.example/", secret_file=Path("hook.secret"))
    with pytest.raises(ConfigurationError, match="receiver hook: secret of 5 bytes, at least 16") as caught:
        Webhook("hook", settings, Secret("short"))
    assert "short" not in str(caught.value)


@pytest.mark.parametrize("ca", [None, b"no certificate"])
def test_certificates_that_cannot_be_used_are_refused_at_once(tmp_path: Path, ca: bytes | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if ca is not None:
        ca_file.write_bytes(ca)
    settings = WebhookSettings(url="https://receiver.example/", secret_file=tmp_path, ca_file=ca_file)
    with pytest.raises(ConfigurationError, match=r"ca_file = .* cannot be used"):
        Webhook("hook", settings, Secret(SECRET))


def test_secrets_are_read_again_when_their_files_are_others(tmp_path: Path) -> None:
    present, following = tmp_path / "hook.secret", tmp_path / "hook.secret.next"
    read: list[str] = []

    def read_secret(path: Path, _key: str) -> Secret:
        read.append(path.name)
        return Secret(path.read_text(encoding="utf-8"))

    def asked() -> list[str]:
        return [secret.reveal() for secret in files()]

    present.write_text(SECRET, encoding="utf-8")
    files = SecretFiles(present, "hook.secret_file", read_secret)
    assert (asked(), asked(), read) == ([SECRET], [SECRET], ["hook.secret"])
    following.write_text("fedcba9876543210", encoding="utf-8")
    assert asked() == asked() == [SECRET, "fedcba9876543210"]
    following.replace(present)
    assert asked() == asked() == ["fedcba9876543210"]
    assert read == ["hook.secret", "hook.secret", "hook.secret.next", "hook.secret"]
    present.unlink()
    with pytest.raises(FileNotFoundError):
        asked()
