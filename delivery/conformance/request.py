"""A request as it came over the wire. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One whole request. ``headers`` by their names in small letters; ``raw`` is every byte of it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes


def parse_request(raw: bytes) -> Request:
    """Return the parts of a request.

    Raises:
        ValueError: it is not one that a strict server would take.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, target, version = first.split(" ")
    pairs = [line.split(": ", 1) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    if version != "HTTP/1.1" or len(headers) != len(pairs):
        raise ValueError(f"not HTTP/1.1, or a header twice: {first!r}")
    if "host" not in headers or headers.get("content-length") != str(len(body)):
        raise ValueError("no Host, or a Content-Length that is not the body's")
    return Request(method=method, target=target, headers=headers, body=body, raw=raw)


def missing_bytes(raw: bytes) -> int:
    """Return how many bytes of a request have not come yet, at least; 0 when it is whole.

    >>> missing_bytes(b"POST / HTTP/1.1\\r\\nContent-Length: 3\\r\\n\\r\\na")
    2
    """
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        return 1
    lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return max(0, int(lengths[0] if lengths else 0) - len(body))
