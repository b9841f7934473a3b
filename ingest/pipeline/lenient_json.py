"""JSON as devices really write it: what can be read is read, and each value that cannot says why. Pure.

A value that is no JSON (``nan``, ``1.#IND``, ``21.5 C``) costs itself and not its message; further objects behind the
first are read as well, and what a brace too many cut off; a key that is there twice keeps both values, for whoever
knows what it means. An object that does not end is refused: nobody can say what of it was still to come.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

import msgspec

from contracts.errors import DropReason, Rejected, RejectReason
from ingest.pipeline.json_depth import MAX_DEPTH

MAX_DIGITS = 400
"""A longer number is out of every range; reading its digits would take time."""

MAX_OBJECTS = 64
"""Of one message, by count; nobody sends more by mistake."""

_BLANK = re.compile(r"[\s\x00\ufeff]*")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_JUNK = re.compile(r'[^{"]+')
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)
_BARE = re.compile(r'[^\s,:\[\]{}"]+')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NO_NUMBER = re.compile(r"[+-]?(nan|inf(inity)?|\d\.#[a-z]+\w*)", re.IGNORECASE)
_WORDS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}


class Unreadable(msgspec.Struct, frozen=True):
    """Stands where a value could not be read."""

    reason: DropReason


class Twice(msgspec.Struct, frozen=True):
    """Stands where a key was there more than once with different values."""

    values: tuple[object, ...]


class Said(msgspec.Struct, frozen=True):
    """What a payload says: its objects, in order; ``unread``: the text behind them in which no end was found."""

    objects: list[dict[str, object]]
    faults: list[DropReason]
    unread: str = ""


def read_objects(payload: bytes) -> Said:
    """Return the objects in ``payload``, and what was wrong around the first: its encoding, or what stood behind it.

    Raises:
        Rejected: ``not_json`` when the first is no whole object.
    """
    refusal = Rejected(RejectReason.NOT_JSON, "no object that can be read")
    for text, faults in _texts(payload):
        try:
            objects, alone, unread = _Reader(text).objects()
        except Rejected as error:
            refusal = error
            continue
        return Said(objects, faults if alone else [*faults, DropReason.TRAILING], unread)
    raise refusal


def _texts(payload: bytes) -> Iterator[tuple[str, list[DropReason]]]:
    """Yield what the bytes may say, the likeliest first: UTF-8, UTF-16, GB 18030, UTF-8 with broken characters."""
    encodings = ["utf-8", "utf-16" if payload[:2] in {b"\xff\xfe", b"\xfe\xff"} else "", "gb18030"]
    if b"\0" in payload[:2]:
        encodings.insert(0, "utf-16-le" if payload[1:2] == b"\0" else "utf-16-be")
    for encoding in filter(None, encodings):
        try:
            text = payload.decode(encoding)
        except UnicodeDecodeError:
            continue
        plain = encoding == "utf-8" and not text.startswith("\ufeff")
        yield text, [] if plain else [DropReason.ENCODING]
    yield payload.decode("utf-8", "replace"), [DropReason.ENCODING]


class _Reader:
    """Reads one text from its beginning; every step moves ahead, so the time is in proportion to its length."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def objects(self) -> tuple[list[dict[str, object]], bool, str]:
        """Return the objects of the text, whether it is the first alone, and from where on they do not end."""
        alone = self._peek() != "["
        self._at += not alone
        if self._peek() != "{":
            raise Rejected(RejectReason.NOT_JSON, "it does not begin with an object")
        found = [self._object(1)]
        while here := self._peek():
            alone, start = False, self._at
            try:
                self._further(here, found)
            except Rejected:
                return found, alone, self._text[start:]
        return found, alone, ""

    def _further(self, here: str, found: list[dict[str, object]]) -> None:
        """Read on behind the last object ``found``: another one, more of its members, or what makes no sense."""
        if here == "{":
            if len(found) >= MAX_OBJECTS:
                raise Rejected(RejectReason.NOT_JSON, "too many objects")
            found.append(self._object(1))
        elif here == '"':
            key = self._string()
            if isinstance(key, str) and self._peek() == ":":
                self._at += 1
                put(found[-1], key, self._value(1))
        elif match := _JUNK.match(self._text, self._at):
            self._at = match.end()

    def _peek(self) -> str:
        """Return the next character that is no blank; empty at the end."""
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def _object(self, depth: int) -> dict[str, object]:
        self._at += 1
        fields: dict[str, object] = {}
        last: str | None = None
        while (here := self._next()) != "}":
            if here == "]":
                raise Rejected(RejectReason.NOT_JSON, "an object that does not end")
            key = self._string() if here == '"' else None
            if not isinstance(key, str) or self._peek() != ":":
                self._junk()
                if last is not None:  # it belonged to the value before it: 21,5
                    fields[last] = Unreadable(DropReason.UNREADABLE)
                continue
            self._at += 1
            put(fields, key, self._value(depth))
            last = key
        self._at += 1
        return fields

    def _array(self, depth: int) -> list[object]:
        self._at += 1
        items: list[object] = []
        while self._next() != "]":
            if self._peek() in {"}", ":"}:
                raise Rejected(RejectReason.NOT_JSON, "a list that does not end")
            items.append(self._value(depth))
        self._at += 1
        return items

    def _next(self) -> str:
        """Return the next character behind commas.

        Raises:
            Rejected: there is none.
        """
        while (here := self._peek()) == ",":
            self._at += 1
        if not here:
            raise Rejected(RejectReason.NOT_JSON, "it is cut off")
        return here

    def _value(self, depth: int) -> object:
        here = self._peek()
        if here and here in "{[":
            if depth >= MAX_DEPTH:
                self._pass_over()
                return Unreadable(DropReason.UNREADABLE)
            value: object = self._object(depth + 1) if here == "{" else self._array(depth + 1)
        elif here == '"':
            value = self._string()
        else:
            value = self._bare()
        if self._peek() not in {",", "}", "]", '"', ""}:
            self._junk()
            return Unreadable(DropReason.UNREADABLE)
        return value

    def _pass_over(self) -> None:
        """Pass over an object or list, however deep: nothing of ours lies there."""
        depth = 0
        for match in _STRUCTURE.finditer(self._text, self._at):
            depth += (match[0] in {"{", "["}) - (match[0] in {"}", "]"})
            if depth == 0:
                self._at = match.end()
                return
        raise Rejected(RejectReason.NOT_JSON, "it is cut off")

    def _string(self) -> str | Unreadable:
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise Rejected(RejectReason.NOT_JSON, "a text that does not end")
        self._at = match.end()
        body = match[1]
        try:
            text = str(json.loads(f'"{body}"', strict=False)) if "\\" in body else body
            text.encode()
        except ValueError:  # an unknown escape, half a character
            return Unreadable(DropReason.ENCODING)
        return text

    def _bare(self) -> object:
        match = _BARE.match(self._text, self._at)
        if match is None:
            return Unreadable(DropReason.UNREADABLE)
        self._at = match.end()
        word = match[0]
        if word.casefold() in _WORDS:
            return _WORDS[word.casefold()]
        return number_of(word)

    def _junk(self) -> None:
        """Pass over what makes no sense, up to where the next key may begin."""
        depth = 0
        while here := self._peek():
            if depth == 0 and here in ",}]":
                return
            if here == '"':
                self._string()
                continue
            depth += (here in "{[") - (here in "}]")
            self._at += 1


def number_of(word: str) -> float | Unreadable:
    """Return the number a word says.

    >>> number_of("21.50"), number_of("007"), number_of("nan").reason.value, number_of("1e999").reason.value
    (21.5, 7, 'not_a_number', 'out_of_range')
    """
    if _NO_NUMBER.fullmatch(word):
        return Unreadable(DropReason.NOT_A_NUMBER)
    if not _NUMBER.fullmatch(word):
        return Unreadable(DropReason.UNREADABLE)
    if len(word) > MAX_DIGITS:
        return Unreadable(DropReason.OUT_OF_RANGE)
    value = float(word)
    if not math.isfinite(value):
        return Unreadable(DropReason.OUT_OF_RANGE)
    return int(word) if word.lstrip("+-").isdigit() else value


def put(fields: dict[str, object], key: str, value: object) -> None:
    """Put a value under its key; of another one under the same key both stay."""
    if key not in fields or (fields[key] == value and type(fields[key]) is type(value)):
        fields[key] = value
        return
    before = fields[key]
    values = before.values if isinstance(before, Twice) else (before,)
    fields[key] = Twice((*values, value)[:8])
