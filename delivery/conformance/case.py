"""One case of the suite: what the peer does, and what an attempt must come to."""

from __future__ import annotations

import enum

import msgspec

from delivery.backoff import AttemptOutcome
from delivery.conformance.certificates import Shown
from delivery.conformance.moves import Script, answer, read


class Way(enum.StrEnum):
    """How a receiver gets to the peer."""

    PLAIN = "plain"
    TLS = "tls"
    TLS_TO_PLAIN = "tls_to_plain"  # the receiver speaks TLS, the peer does not
    REFUSED = "refused"  # nobody listens
    UNTAKEN = "untaken"  # somebody listens and takes no connection
    NO_NAME = "no_name"  # the name has no address


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table.

    ``name``: a sentence. ``script``: of every connection. ``outcome``: what the attempt comes to; None where that
    depends on whether an empty body confirms. ``is_cut``: the peer would take longer than any receiver may; only then
    is the time limit short, so that no other case rests on the machine's speed. ``is_told``: the peer gets the request.
    """

    name: str
    script: Script = (read, answer(200))
    outcome: AttemptOutcome | None
    retry_after_s: float | None = None
    way: Way = Way.PLAIN
    shown: Shown = Shown.GOOD
    is_cut: bool = False
    is_told: bool = True
