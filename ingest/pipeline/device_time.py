"""The time that a device wrote into its message, as far as it can be read: a bad clock costs no message. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.events import Ms

UNREADABLE_MS = 0
"""``at_ms`` of an event whose own could not be read."""


_MOST = 2**63
"""Nanoseconds of our time have 61 bits; a longer number tells nothing."""


class _Claim(msgspec.Struct):
    at_ms: Any = None


_DECODER = msgspec.json.Decoder(_Claim)


def is_time(value: object) -> bool:
    """Return whether ``value`` may stand as ``at_ms``: whole milliseconds up to the year 9999.

    >>> is_time(1_790_000_000_000), is_time(1_790_000_000_000_000), is_time("noon"), is_time(True)
    (True, False, False, False)
    """
    try:
        msgspec.convert(value, Ms)
    except msgspec.ValidationError:
        return False
    return True


def claimed_ms(payload: bytes) -> int | None:
    """Return the number that a message says as ``at_ms``, however wrong; None when it says none.

    >>> claimed_ms(b'{"at_ms": 1790000000000000}'), claimed_ms(b'{"at_ms": "noon"}')
    (1790000000000000, None)
    """
    try:
        value = _DECODER.decode(payload).at_ms
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _MOST:
        return None
    return int(value)
