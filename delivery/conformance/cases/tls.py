"""TLS that holds, and TLS that must not be believed: nothing is sent to whoever shows it."""

from __future__ import annotations

from delivery.backoff import AttemptOutcome
from delivery.conformance.case import Case, Way
from delivery.conformance.certificates import Shown
from delivery.conformance.moves import Move, drip, end_sending, hold, read, reset, say

_NOT_BELIEVED = {
    Shown.SELF_SIGNED: "a certificate that signed itself",
    Shown.OTHER_HOST: "a certificate of another host",
    Shown.EXPIRED: "a certificate that has expired",
    Shown.NOT_YET_VALID: "a certificate that is not valid yet",
}


def _not_tls(what: str, *script: Move, is_cut: bool = False) -> Case:
    name = f"{what} where TLS is expected"
    return Case(
        name=name, script=script, outcome=AttemptOutcome.RETRY, way=Way.TLS_TO_PLAIN, is_cut=is_cut, is_told=False
    )


def _slow(name: str, *script: Move) -> Case:
    return Case(name=name, script=script, outcome=AttemptOutcome.RETRY, way=Way.TLS, is_cut=True)


TLS = (
    Case(name="a certificate that holds", outcome=AttemptOutcome.DELIVERED, way=Way.TLS),
    *(
        Case(name=name, outcome=AttemptOutcome.RETRY, way=Way.TLS, shown=shown, is_told=False)
        for shown, name in _NOT_BELIEVED.items()
    ),
    _not_tls("plain HTTP", say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
    _not_tls("garbage", say(b"\x16\x03\x01\xff\xff" + bytes(512))),
    _not_tls("an orderly close", end_sending),
    _not_tls("a reset", reset),
    _not_tls("silence", hold, is_cut=True),
    _not_tls("a drip", say(b"\x16\x03\x03\x3f\xff"), drip(b"\x02"), is_cut=True),
    _slow("a peer that says nothing over TLS", read, hold),
    _slow("a peer that drips over TLS", read, drip(b"H")),
)
