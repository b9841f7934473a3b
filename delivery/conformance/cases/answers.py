"""Answers that are not, or not quite, HTTP."""

from __future__ import annotations

from delivery.backoff import AttemptOutcome
from delivery.conformance.case import Case
from delivery.conformance.moves import Move, answer, drip, end_sending, flood, head, hold, read, reset, say


def _instead(what: str, *moves: Move) -> Case:
    return Case(name=f"{what} instead of an answer", script=(read, *moves), outcome=AttemptOutcome.RETRY)


def _endless(what: str, *moves: Move) -> Case:
    return Case(name=what, script=(read, *moves), outcome=AttemptOutcome.RETRY, is_cut=True)


ANSWERS = (
    _instead("binary garbage", say(bytes(range(256)) * 8)),
    _instead("a line feed", say(b"\r\n")),
    _instead("the greeting of another protocol", say(b"SSH-2.0-OpenSSH_9.2\r\n")),
    _instead("a page without a status line", say(b"<html>what-the-peer-said</html>\r\n")),
    _instead("an HTTP of the future", say(b"HTTP/9.9 200 OK\r\n\r\n")),
    _instead("a status that is no number", say(b"HTTP/1.1 good OK\r\n\r\n")),
    _instead("a status of 99", say(b"HTTP/1.1 99 OK\r\n\r\n")),
    _instead("a status of 1000", say(b"HTTP/1.1 1000 OK\r\n\r\n")),
    _instead("half a status line", say(b"HTTP/1.1 2")),
    _instead("an interim answer and no other", say(head(100)), end_sending),
    _instead("a status line that never ends", say(b"HTTP/1.1 200 "), flood(b"x" * 65_536)),
    _instead("a header that never ends", say(b"HTTP/1.1 200 OK\r\nX: "), flood(b"x" * 65_536)),
    _instead("headers that never end", say(b"HTTP/1.1 200 OK\r\n"), flood(b"X: y\r\n" * 1_000)),
    _instead("nothing, and an orderly close", end_sending, hold),
    _instead("nothing, and a reset", reset),
    _instead("half the headers, and a reset", say(b"HTTP/1.1 200 OK\r\nContent-"), reset),
    _endless("a peer that takes the request and says nothing", hold),
    _endless("a peer that stops in the middle of its headers", say(b"HTTP/1.1 200 OK\r\nContent-"), hold),
    _endless("a peer that drips its headers", say(b"HTTP/1.1 200 OK\r\nX: "), drip(b"x")),
    _endless("a peer that is always about to answer", drip(head(100), every_s=0.001)),
    Case(
        name="an interim answer before the answer",
        script=(read, say(head(100)), answer(200)),
        outcome=AttemptOutcome.DELIVERED,
    ),
    Case(
        name="an answer, and one direction closed",
        script=(read, answer(200), end_sending, hold),
        outcome=AttemptOutcome.DELIVERED,
    ),
    Case(
        name="an answer, and a connection left open", script=(read, answer(200), hold), outcome=AttemptOutcome.DELIVERED
    ),
    Case(
        name="two answers to one request count as the first",
        script=(read, answer(200), answer(500)),
        outcome=AttemptOutcome.DELIVERED,
    ),
    Case(
        name="headers that make no sense are passed over",
        script=(read, answer(200, "no colon here", "X-\x01: \x02", "Retry-After: soon")),
        outcome=AttemptOutcome.DELIVERED,
    ),
)
