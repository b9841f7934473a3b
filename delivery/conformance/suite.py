"""Plays the table to a kind of receiver, and says what does not conform."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from delivery.backoff import AttemptOutcome
from delivery.conformance.adapter import Adapter, Target, adapter_of
from delivery.conformance.bench import PATIENT_S, Bench, Seen
from delivery.conformance.case import Case
from delivery.conformance.golden import HOST, Golden, golden_messages
from delivery.conformance.hostile_peer import HostilePeer
from delivery.conformance.moves import HOLD_S, PEER_TEXT, answer, read, reset
from delivery.conformance.request import Request, parse_request
from delivery.outbox import attempt
from incidents.store.records import DeliveryKind

LATEST_S = HOLD_S / 2
"""By when a receiver whose time is over must have ended; a peer holds on for longer."""

MOST_SENT = 64 << 20
"""Bytes that a peer may get rid of before its receiver stops reading: the buffers of both are among them."""

LONGEST_DETAIL = 200


class ConformanceError(AssertionError):
    """A receiver does not do what every receiver must; says what it did instead."""


def check_case(kind: str, case: Case, bench: Bench) -> None:
    """Play one case of the table to a receiver of ``kind``.

    Raises:
        ConformanceError: naming all that was wrong.
        ConfigurationError: the kind has no adapter.
    """
    adapter = adapter_of(kind)
    seen = bench.play(kind, adapter, case, golden_messages(kind)[0].delivery)
    _conform(f"{kind}, {case.name}", _wrong(case, adapter, seen))


def check_own_answers(kind: str, bench: Bench) -> None:
    """Play what this kind's own protocol may answer with a success: other receipts, and refusals."""
    adapter = adapter_of(kind)
    expected = {**dict.fromkeys(adapter.not_receipts, AttemptOutcome.UNREADABLE), **adapter.refusals}
    for body, outcome in expected.items():
        check_case(kind, Case(name=f"{body[:60]!r}", script=(read, answer(200, body=body)), outcome=outcome), bench)


def check_resend(kind: str, bench: Bench) -> None:
    """Send one delivery twice, as after a lost answer: the other side must be able to count it once."""
    adapter, delivery = adapter_of(kind), golden_messages(kind)[0].delivery
    scripts = ((read, reset), (read, answer(200)))
    with HostilePeer(*scripts, accepted=adapter.acceptance(delivery)) as peer:
        receiver = bench.open(kind, adapter, bench.target(peer))
        outcomes = [attempt(receiver, delivery).outcome for _ in scripts]
    first, second = (parse_request(raw) for raw in peer.requests)
    _conform(f"{kind}, sent again", _not_the_same(adapter, first, second, outcomes))


def check_nothing_is_shown(kind: str, bench: Bench) -> None:
    """Look at what a receiver says of itself."""
    adapter = adapter_of(kind)
    receiver = bench.open(kind, adapter, Target(url="http://127.0.0.1:9", timeout_s=PATIENT_S))
    shown = f"{receiver!r} {receiver} {vars(receiver)!r}"
    _conform(f"{kind}, as text", (f"shows {name}" for name, secret in adapter.secrets.items() if secret in shown))


def check_golden_messages(kind: str, bench: Bench) -> None:
    """Send every golden message: the request must be the golden one, byte for byte, and each has a key of its own."""
    adapter, golden = adapter_of(kind), golden_messages(kind)
    keys: set[str] = set()
    wrong: list[str] = []
    for one in golden:
        with HostilePeer((read, answer(200)), accepted=adapter.acceptance(one.delivery)) as peer:
            attempt(adapter.pinned(bench.target(peer)), one.delivery)
        (raw,) = peer.requests
        keys.add(adapter.key_of(parse_request(raw)))
        sent = raw.replace(b"127.0.0.1:%d" % peer.port, HOST.encode())
        wrong += _not_the_golden_one(one, sent)
    untold = set(DeliveryKind) - {one.delivery.kind for one in golden}
    wrong += [f"no golden message says {news}" for news in sorted(untold)]
    _conform(f"{kind}, golden messages", [*wrong, *(["two of them have one key"] if len(keys) < len(golden) else [])])


CHECKS: Mapping[str, Callable[[str, Bench], None]] = {
    "the answers of its own protocol": check_own_answers,
    "a delivery that is sent again": check_resend,
    "a receiver that is shown as text": check_nothing_is_shown,
    "the golden messages": check_golden_messages,
}
"""What every kind must pass beside the table."""


def _conform(where: str, wrong: Iterable[str]) -> None:
    if found := list(wrong):
        raise ConformanceError(f"{where}: {'; '.join(found)}")


def _wrong(case: Case, adapter: Adapter, seen: Seen) -> Iterator[str]:
    """Yield everything about an attempt that is not as the case says."""
    accepts = AttemptOutcome.DELIVERED if adapter.empty_accepts else AttemptOutcome.UNREADABLE
    expected, made = case.outcome or accepts, seen.attempt
    if made.outcome is not expected:
        yield f"came to {made.outcome} {made.detail!r} instead of {expected}"
    if made.retry_after_s != case.retry_after_s:
        yield f"waits {made.retry_after_s} s instead of {case.retry_after_s} s"
    if seen.took_s > LATEST_S:
        yield f"took {seen.took_s:.1f} s"
    if seen.sent > MOST_SENT:
        yield f"read up to {seen.sent} bytes of an answer"
    if seen.strayed:
        yield "was led to another server"
    yield from _what_is_shown(adapter, seen)
    yield from _requests(case, adapter, seen.requests)


def _what_is_shown(adapter: Adapter, seen: Seen) -> Iterator[str]:
    for name, text in {**adapter.secrets, "what the peer said": PEER_TEXT}.items():
        if text in seen.shown:
            yield f"shows {name}"
    if len(seen.attempt.detail) > LONGEST_DETAIL:
        yield f"explains itself in {len(seen.attempt.detail)} characters"


def _requests(case: Case, adapter: Adapter, requests: Iterable[bytes]) -> Iterator[str]:
    found = [parse_request(raw) for raw in requests]
    most, least = int(case.is_told), int(case.is_told and not case.is_cut)  # a peer may hear nothing of who was cut
    if not least <= len(found) <= most:
        yield f"sent {len(found)} requests instead of {most}"
    for request in found:
        if objection := adapter.objection(request):
            yield f"a strict peer would refuse the request: {objection}"


def _not_the_golden_one(golden: Golden, sent: bytes) -> Iterator[str]:
    """Yield how a request differs from its golden file; what looks the same is told apart by its line ends."""
    file = f"golden/{golden.name}.http"
    if sent.replace(b"\r\n", b"\n") == golden.request.replace(b"\r\n", b"\n") and sent != golden.request:
        yield f"{file} has other line ends: those of the head are CRLF, those of the body as they were sent"
    elif sent != golden.request:
        yield f"{file}: sent\n{sent.decode()}\ninstead of\n{golden.request.decode() or 'nothing: no such file yet'}\n"


def _not_the_same(adapter: Adapter, first: Request, second: Request, outcomes: list[AttemptOutcome]) -> Iterator[str]:
    if outcomes != [AttemptOutcome.RETRY, AttemptOutcome.DELIVERED]:
        yield f"came to {' and '.join(outcomes)} instead of retry and delivered"
    if first.body != second.body:
        yield "has another body"
    if not adapter.key_of(first) or adapter.key_of(first) != adapter.key_of(second):
        yield f"has the key {adapter.key_of(second)!r} after {adapter.key_of(first)!r}"
    for name in sorted({*first.headers, *second.headers}):
        differs = first.headers.get(name) != second.headers.get(name)
        if differs != (name in {fresh.lower() for fresh in adapter.fresh}):
            yield f"{name} is {'another' if differs else 'the same'}"
