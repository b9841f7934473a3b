"""A success whose body is no receipt, or only a piece of one."""

from __future__ import annotations

import gzip

from delivery.backoff import AttemptOutcome
from delivery.conformance.case import Case
from delivery.conformance.moves import PEER_TEXT, Move, PeerSide, answer, drip, flood, head, hold, read, reset, say

_CHUNKED = head(200, "Transfer-Encoding: chunked")
_NO_RECEIPTS = {
    "a proxy's page": f"<html>{PEER_TEXT}</html>".encode(),
    "binary garbage": bytes(range(256)) * 4,
    "a text that is not UTF-8": b'{"delivery_id":"\xff\xfe"}',
    "lists in lists": b"[" * 30_000,
    "objects in objects": b'{"a":' * 10_000,
    "a number": b"1",
    "nothing, in JSON": b"null",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "a receipt's field of another type": b'{"delivery_id":1}',
}


def _unread(name: str, *moves: Move) -> Case:
    return Case(name=name, script=(read, *moves), outcome=AttemptOutcome.UNREADABLE)


def _chunked(side: PeerSide) -> None:
    half = len(side.accepted) // 2
    for piece in (side.accepted[:half], side.accepted[half:], b""):
        if piece or half:
            side.send(b"%x\r\n%b\r\n" % (len(piece), piece))


def _zipped(side: PeerSide) -> None:
    body = gzip.compress(side.accepted)
    side.send(head(200, "Content-Encoding: gzip", f"Content-Length: {len(body)}") + body)


def _until_closed(side: PeerSide) -> None:
    side.send(head(200) + side.accepted)


def _too_much(side: PeerSide) -> None:
    side.send(head(200, f"Content-Length: {len(side.accepted)}") + side.accepted + PEER_TEXT.encode())


def _half(side: PeerSide) -> None:
    side.send(head(200, f"Content-Length: {len(side.accepted) + 2}") + side.accepted)


BODIES = (
    *(_unread(f"a success with {what}", answer(200, body=body)) for what, body in _NO_RECEIPTS.items()),
    _unread("a success whose body is shorter than announced", _half),
    _unread("a success whose body is announced and does not come", say(head(200, "Content-Length: 9"))),
    _unread("a success with a body that was packed", _zipped),
    _unread("a success with a body that never ends", say(head(200)), flood(b"x" * 65_536)),
    _unread("a success with a body of a terabyte", say(head(200, f"Content-Length: {1 << 40}")), flood(b" " * 65_536)),
    Case(name="a success with no body", script=(read, answer(200, body=b"")), outcome=None),
    Case(name="a success with blanks", script=(read, answer(200, body=b" \r\n ")), outcome=None),
    Case(name="a body that ends with the connection", script=(read, _until_closed), outcome=AttemptOutcome.DELIVERED),
    Case(name="a body in chunks", script=(read, say(_CHUNKED), _chunked), outcome=AttemptOutcome.DELIVERED),
    Case(name="more than was announced is not read", script=(read, _too_much), outcome=AttemptOutcome.DELIVERED),
    *(
        Case(name=f"chunks that {what}", script=(read, say(_CHUNKED + chunks)), outcome=AttemptOutcome.RETRY)
        for what, chunks in {
            "break off": b"ff\r\nhalf",
            "do not come": b"",
            "are no chunks": b"what-the-peer-said\r\n",
            "have an endless size": b"f" * 70_000,
        }.items()
    ),
    *(
        Case(name=f"a body that {what}", script=(read, *moves), outcome=AttemptOutcome.RETRY, is_cut=True)
        for what, moves in {
            "stops in its middle": (say(head(200, "Content-Length: 99") + b"half"), hold),
            "drips": (say(head(200, "Content-Length: 9999")), drip(b" ")),
            "drips in chunks": (say(_CHUNKED), drip(b"1\r\n \r\n")),
        }.items()
    ),
    Case(
        name="a reset in the middle of a body",
        script=(read, say(head(200, "Content-Length: 99") + b"half"), reset),
        outcome=AttemptOutcome.RETRY,
    ),
)
