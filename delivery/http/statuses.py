"""What an HTTP answer means for a delivery. Pure: the one table that all receivers share."""

from __future__ import annotations

import enum

from contracts.errors import Permanent, Transient
from delivery.receiver import ReceiverMisconfigured

LONGEST_RETRY_AFTER_S = 24 * 3600.0


class StatusMeaning(enum.StrEnum):
    """What an HTTP status means for a delivery."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    REJECTED = "rejected"


_RETRY = frozenset({408, 423, 425, 429})
_OURS_TO_FIX = frozenset({401, 402, 403, 404, 405, 407})
_NEVER = frozenset({501, 505})


def meaning_of(status: int) -> StatusMeaning:
    """Return what a status means. Redirects are not followed: a signature names a path.

    Below 200 no answer is final, and above 599 none is HTTP's (RFC 9110 §15): nothing is known, so it is tried again.

    >>> [str(meaning_of(status)) for status in (204, 429, 301)]
    ['accepted', 'retry', 'misconfigured']
    """
    if 200 <= status < 300:
        return StatusMeaning.ACCEPTED
    if status in _OURS_TO_FIX or 300 <= status < 400:
        return StatusMeaning.MISCONFIGURED
    if status in _NEVER or (400 <= status < 500 and status not in _RETRY):
        return StatusMeaning.REJECTED
    return StatusMeaning.RETRY


def raise_for_status(status: int, retry_after_s: float | None) -> None:
    """Raise the error that the table gives, with the status in its message; nothing for a success.

    Raises:
        Transient, ReceiverMisconfigured, Permanent: as :func:`meaning_of` says.
    """
    match meaning_of(status):
        case StatusMeaning.ACCEPTED:
            return
        case StatusMeaning.RETRY:
            raise Transient(f"status {status}", retry_after_s)
        case StatusMeaning.MISCONFIGURED:
            raise ReceiverMisconfigured(f"status {status}", retry_after_s)
        case StatusMeaning.REJECTED:
            raise Permanent(f"status {status}")


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, at most a day; None for none, a date or nonsense.

    >>> retry_after_s("120"), retry_after_s("soon"), retry_after_s("-1")
    (120.0, None, None)
    """
    if header is None or not header.strip().isascii() or not header.strip().isdigit():
        return None
    return min(float(header), LONGEST_RETRY_AFTER_S)
