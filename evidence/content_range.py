"""The two range headers: ``Content-Range`` of an upload and ``Range`` of a view. Pure."""

from __future__ import annotations

import re

import msgspec

from contracts.errors import Rejected, RejectReason

_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class ContentRange(msgspec.Struct, frozen=True):
    """Bytes ``start … stop`` (end exclusive) of ``total``."""

    start: int
    stop: int
    total: int


def parse_content_range(header: str | None, max_bytes: int) -> ContentRange:
    """Return the range that an upload carries.

    >>> parse_content_range("bytes 0-9/100", 1000)
    ContentRange(start=0, stop=10, total=100)

    Raises:
        Rejected: ``wrong_type`` when it is missing or malformed, ``too_large`` when the whole is over ``max_bytes``.
    """
    match = _CONTENT_RANGE.fullmatch(header or "")
    if match is None:
        raise Rejected(RejectReason.WRONG_TYPE, f"Content-Range {(header or '')[:80]!r}, expected bytes a-b/total")
    first, last, total = (int(text) for text in match.groups())
    if total > max_bytes:
        raise Rejected(RejectReason.TOO_LARGE, f"{total} bytes, at most {max_bytes}")
    if not first <= last < total:
        raise Rejected(RejectReason.OUT_OF_RANGE, f"Content-Range {header!r} does not lie within its total")
    return ContentRange(first, last + 1, total)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the one range that a view asks for as (start, stop), or None for the whole; several ranges count as none.

    >>> parse_range("bytes=10-", 100), parse_range("bytes=-10", 100), parse_range(None, 100)
    ((10, 100), (90, 100), None)

    Raises:
        Rejected: ``out_of_range`` when nothing of it exists (status 416).
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    if start >= stop:
        raise Rejected(RejectReason.OUT_OF_RANGE, f"range {header!r} of {size} bytes")
    return start, stop
