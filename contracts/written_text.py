"""The text of a file that a person wrote, whatever their editor made of it. Pure."""

from __future__ import annotations

from contracts.errors import ConfigurationError

_MARKED = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_MOST_CONTROLS = 0.05
"""A share of control characters that no text has, 0–1."""


def decode_written(data: bytes, what: str) -> str:
    r"""Return the text of a file: UTF-8, with or without a byte order mark, or UTF-16 with one; lines end with ``\n``.

    Editors on Windows put a mark before the text, and save Chinese as GBK. What is without a mark and no UTF-8 is not
    guessed: a wrong guess would be stored as the name of a place.

    >>> decode_written(b"\xef\xbb\xbfa = 1\r\n", "file x")
    'a = 1\n'

    Args:
        data: of the whole file.
        what: the file as a person knows it; the message begins with it.

    Raises:
        ConfigurationError: it is no such text; says what it probably is, in which line, and what to do.
    """
    marked = ((mark, name) for mark, name in _MARKED if data.startswith(mark) and data != mark)
    mark, encoding = next(marked, (b"", "utf-8"))
    body = data[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{what} is not UTF-8 in line {line}: {_probably(body)}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _probably(body: bytes) -> str:
    """Say what bytes that are no UTF-8 are, and what to do."""
    try:
        text = body.decode("gb18030")
    except UnicodeDecodeError:
        text = "\0"
    controls = sum(letter < " " and letter not in "\r\n\t" for letter in text)
    if controls > _MOST_CONTROLS * len(text):
        return "it is no text; expected a text file in UTF-8"
    return "it reads as GBK; save it as UTF-8 (iconv -f GB18030 -t UTF-8 OLD > NEW, or the encoding in your editor)"
