"""The address of a camera: whether it can be used as it is written, and what of it anybody may read. Pure."""

from __future__ import annotations

import re

HIDDEN = "…"
LONGEST = 16
_PARTS = re.compile(r"([/?#&;])")
_PLAIN = re.compile(r"[A-Za-z0-9._-]*")
_OPEN = frozenset({"channel", "ch", "id", "profile", "stream", "streamtype", "subtype", "video", "x"})
_SECRET = frozenset({"user", "username", "password", "pwd", "token", "auth", "key"})
"""Names that may be seen: of values that may be, and of values that may not."""
_ENDS = re.compile(r"[/?#]")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def is_stream(source: str) -> bool:
    """Return whether a source is a network stream, not a file."""
    return "://" in source


def redact_url(source: str) -> str:
    """Return the source without what may be secret: for logs, errors and lists.

    Cameras also take a password as part of the path or behind a question mark, and one that was written without its
    escapes may look like any part. So only what is plainly none is left.

    >>> redact_url("rtsp://admin:secret@10.0.0.9/ch1"), redact_url("rtsp://u:se?cret@h/1")
    ('rtsp://10.0.0.9/ch1', 'rtsp://h/1')
    >>> redact_url("rtsp://10.0.0.9:554/user=admin&password=x&channel=1&stream=0.sdp?real")
    'rtsp://10.0.0.9:554/user=…&password=…&channel=1&stream=…?…'
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        return source
    host, *parts = _PARTS.split(rest.rpartition("@")[2])
    shown = [host if _HOST.fullmatch(host) else HIDDEN]
    for mark, part in zip(parts[::2], parts[1::2], strict=True):
        shown += [mark, _shown(part, is_path=mark == "/")]
    return f"{scheme}{separator}{''.join(shown)}"


def _shown(part: str, *, is_path: bool) -> str:
    """Return a part as it may be seen. A long one with digits is a key; a pair shows no more than a small number."""
    key, equals, value = part.partition("=")
    if equals:
        small = re.fullmatch(r"\d{1,3}", value) and key in _OPEN
        return f"{key if key in _OPEN | _SECRET else HIDDEN}={value if small else HIDDEN}"
    is_key = len(part) >= LONGEST and any(letter.isdigit() for letter in part)
    return part if not part or (is_path and _PLAIN.fullmatch(part) and not is_key) else HIDDEN


def check_address(source: str) -> str:
    """Return what is wrong with the address of a stream, without quoting it; empty when it can be used.

    >>> check_address("rtsp://admin:a%23b@10.0.0.9/ch1")
    ''
    """
    rest = source.partition("://")[2]
    authority = _ENDS.split(rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if "@" in behind:
        return f"a user or password with one of # / ? cannot be read: {_how()}"
    user, at, host = authority.rpartition("@")
    if at and _ESCAPE.search(user):
        return f"a % in the user or password is no escape: {_how()}"
    if at and re.search(r"[\s\\]", user):
        return f"a blank or backslash in the user or password cannot be read: {_how()}"
    if not _HOST.fullmatch(host):
        return "the host cannot be read: expected rtsp://user:password@host:port/path, " + _how()
    return ""


def _how() -> str:
    return "write # as %23, / as %2F, ? as %3F, % as %25, @ as %40, : as %3A, a blank as %20"
