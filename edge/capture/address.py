"""The address of a camera: whether it can be used as it is written, and what of it anybody may read. Pure."""

from __future__ import annotations

import re

HIDDEN = "…"
MOST_DIGITS = 3
_PARTS = re.compile(r"([/?#&;])")
_WORD = re.compile(r"h26[45]|m3u8|mpe?g?4|[a-z]+|\d+|[._-]")
_USUAL = (
    "amp api app av avc axis c cam camera cgi ch chan channel channels codec default flv h h264 h265 hd hevc high isapi"
    " live low m3u8 main mainstream media mediainput mjpeg mjpg mp4 mpeg mpeg4 onvif play preview profile proxy real"
    " realmonitor rtp rtsp s sd sdp stream streaming streams sub substream track tracks unicast v video videoinput"
    " vod"
)
"""What the paths of cameras are made of, with numbers between: anything else may be a password."""
_WORDS = frozenset(_USUAL.split())
_OPEN = frozenset({"channel", "ch", "id", "profile", "stream", "streamtype", "subtype", "video", "x"})
_SECRET = frozenset({"user", "username", "password", "pwd", "token", "auth", "key"})
"""Names that may be seen: of values that may be, and of values that may not."""
_ENDS = re.compile(r"[/?#]")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"\s*(rtsps?|rtspu|rtmps?|rtp|srt|udp|tcp|https?|mms|mqtts?)\s*([:;]|[/\\]{2})", re.IGNORECASE)
_USER = re.compile(r"[^/\\]*:[^@]*@")
_NO_FILE = re.compile(r"[@?&=]|(^|/)\d+(\.\d+){3}(:\d+)?(/|$)")
"""What is in hardly any path of a file, and in many an address that lost its scheme."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def is_stream(source: str) -> bool:
    """Return whether a source is a network stream, not a file: also one whose scheme is not written as it should be.

    >>> [is_stream(one) for one in ("rtsp:/u:p@h/1", "rtsp//u:p@h/1", "u:p@h/1", "film.mp4", "films/a@b.mp4")]
    [True, True, True, False, False]
    """
    return "://" in source or bool(_SCHEME.match(source) or _USER.match(source))


def redact_url(source: str) -> str:
    """Return the source without what may be secret: for logs, errors and lists.

    Cameras also take a password as part of the path or behind a question mark, and one that was written without its
    escapes may look like any part. So only what is plainly none is left: in a path, the words that cameras use.

    >>> redact_url("rtsp://admin:secret@10.0.0.9/ch1"), redact_url("rtsp://u:se?cret@h/1")
    ('rtsp://10.0.0.9/ch1', 'rtsp://h/1')
    >>> redact_url("rtsp://10.0.0.9/admin/secret/ch1"), redact_url("rtsp:/admin:secret@10.0.0.9/ch1")
    ('rtsp://10.0.0.9/…/…/ch1', '…')
    >>> redact_url("rtsp://10.0.0.9:554/user=admin&password=x&channel=1&stream=0.sdp?real")
    'rtsp://10.0.0.9:554/user=…&password=…&channel=1&stream=…?…'
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        hidden = is_stream(source) or _NO_FILE.search(source)
        return HIDDEN if hidden else source
    if not scheme.strip().isalpha():
        scheme = HIDDEN
    host, *parts = _PARTS.split(rest.rpartition("@")[2])
    shown = [host if _HOST.fullmatch(host) else HIDDEN]
    for mark, part in zip(parts[::2], parts[1::2], strict=True):
        shown += [mark, _shown(part, is_path=mark == "/")]
    return f"{scheme}{separator}{''.join(shown)}"


def _shown(part: str, *, is_path: bool) -> str:
    """Return a part as it may be seen: of a path its usual words, of a pair no more than a small number."""
    key, equals, value = part.partition("=")
    if equals:
        small = re.fullmatch(r"\d{1,3}", value) and key in _OPEN
        return f"{key if key in _OPEN | _SECRET else HIDDEN}={value if small else HIDDEN}"
    return part if not part or (is_path and _is_usual(part)) else HIDDEN


def _is_usual(part: str) -> bool:
    """Return whether a part of a path is one that cameras have.

    >>> [_is_usual(one) for one in ("h264Preview_01_main", "Channels", "101", "ch00_0", "Geh31mX", "12345678", "ch1pw")]
    [True, True, True, True, False, False, False]
    """
    words = _WORD.findall(part.lower())
    digits = sum(len(word) for word in words if word.isdigit())
    known = all(word in _WORDS for word in words if word[0].isalpha())
    return known and digits <= MOST_DIGITS and "".join(words) == part.lower()


def check_address(source: str) -> str:
    """Return what is wrong with the address of a stream, without quoting it; empty when it can be used.

    >>> check_address("rtsp://admin:a%23b@10.0.0.9/ch1")
    ''
    """
    if "://" not in source:
        return "the scheme cannot be read: expected rtsp://user:password@host:port/path"
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
