"""What an HTTP answer means for a delivery. Pure: the one table that all receivers share."""

from __future__ import annotations

import enum

from contracts.errors import Permanent, Transient
from delivery.receiver import Misconfigured

LONGEST_RETRY_AFTER_S = 24 * 3600.0


class Verdict(enum.StrEnum):
    """What an HTTP status means for a delivery."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    REJECTED = "rejected"


_RETRY = frozenset({408, 423, 425, 429})
_OURS_TO_FIX = frozenset({401, 402, 403, 404, 405, 407})
_NEVER = frozenset({501, 505})


def verdict_of(status: int) -> Verdict:
    """Return what a status means. Redirects are not followed: a signature names a path.

    Below 200 no answer is final, and above 599 none is HTTP's (RFC 9110 §15): nothing is known, so it is tried again.

    >>> verdict_of(204), verdict_of(429), verdict_of(301)
    (<Verdict.ACCEPTED: 'accepted'>, <Verdict.RETRY: 'retry'>, <Verdict.MISCONFIGURED: 'misconfigured'>)
    """
    if 200 <= status < 300:
        return Verdict.ACCEPTED
    if status in _OURS_TO_FIX or 300 <= status < 400:
        return Verdict.MISCONFIGURED
    if status in _NEVER or (400 <= status < 500 and status not in _RETRY):
        return Verdict.REJECTED
    return Verdict.RETRY


def raise_for_status(status: int, retry_after_s: float | None) -> None:
    """Raise the error that the table gives, with the status in its message; nothing for a success.

    Raises:
        Transient, Misconfigured, Permanent: as :func:`verdict_of` says.
    """
    match verdict_of(status):
        case Verdict.ACCEPTED:
            return
        case Verdict.RETRY:
            raise Transient(f"status {status}", retry_after_s)
        case Verdict.MISCONFIGURED:
            raise Misconfigured(f"status {status}", retry_after_s)
        case Verdict.REJECTED:
            raise Permanent(f"status {status}")


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, at most a day; None for none, a date or nonsense.

    >>> retry_after_s("120"), retry_after_s("soon"), retry_after_s("-1")
    (120.0, None, None)
    """
    if header is None or not header.strip().isascii() or not header.strip().isdigit():
        return None
    return min(float(header), LONGEST_RETRY_AFTER_S)
