"""A row of an inventory's file as a record; else every field that is wrong, with what was expected. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from contracts.events import CONFIG_SOURCE, Configuration, PlaceConfigured
from contracts.places import Place
from contracts.suggestions import did_you_mean, nearest
from inventory.faults import FileFault
from inventory.file_rows import FileRow
from inventory.record_check import faults_of_record

_STRUCTS: dict[str, type[msgspec.Struct]] = {str(kind.__struct_config__.tag): kind for kind in Configuration.__args__}
_PLACE_KEYS = frozenset(Place.__struct_fields__)
_BEYOND = 10**18
_WORDS = {
    "int": "a whole number", "str": "text", "bool": "true or false", "float": "a number", "array": "a list",
    "object": "a table", "null": "nothing", "datetime": "a date", "date": "a date", "time": "a time of day",
}  # fmt: skip


def read_row(row: FileRow, now_ms: int, faults: list[FileFault]) -> Configuration | None:
    """Return the record of a row; None after adding all that is wrong with it to ``faults``.

    Args:
        row: as it was written.
        now_ms: the time of a record that carries none.
        faults: is added to.
    """
    before = len(faults)
    fields = _nested(row) if row.kind == "place_configured" else dict(row.fields)
    own_place = fields["place"].get("place_id") if isinstance(fields.get("place"), dict) else None
    common = {"event_id": "config", "source_id": CONFIG_SOURCE, "at_ms": now_ms, "version": 0}
    common["place_id"] = own_place or fields.get("site_id") or ""
    whole = {**common, **fields}
    _look(_STRUCTS[row.kind], whole, row, faults)
    if len(faults) > before:
        return None
    try:
        record: Configuration = msgspec.convert({**whole, "kind": row.kind}, Configuration)
    except msgspec.ValidationError as error:
        faults.append(FileFault(row.line_of(""), f"{row.where}: {error}"))
        return None
    wrong = faults_of_record(record)
    faults += [FileFault(row.line_of(one.key), f"{row.where}: {one.what}") for one in wrong]
    return None if wrong else record


def _nested(row: FileRow) -> dict[str, Any]:
    """Return the fields of a place, which may be written flat, as its record has them."""
    if "place" in row.fields:
        return dict(row.fields)
    of_record = set(PlaceConfigured.__struct_fields__) - _PLACE_KEYS
    outer = {key: value for key, value in row.fields.items() if key in of_record}
    return {**outer, "place": {key: value for key, value in row.fields.items() if key not in of_record}}


def _look(struct: type[msgspec.Struct], fields: Mapping[str, Any], row: FileRow, faults: list[FileFault]) -> None:
    """Add every key that is missing, unknown or of the wrong type."""

    def add(key: str, what: str) -> None:
        faults.append(FileFault(row.line_of(key), f"{row.where}: {what}"))

    known = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for key in fields:
        if key not in known:
            add(key, f"unknown key {key[:60]!r}; {_close_or_all(key, known)}")
    for key, field in known.items():
        if key not in fields:
            if field.required:
                place = "at the top of the file, or here" if key == "site_id" else _kind_of(field.type)
                add(key, f"{key} is missing; expected {place}")
        elif key == "place" and isinstance(fields[key], dict):
            _look(Place, fields[key], row, faults)
        elif (what := _beyond(fields[key])) is not None:
            add(key, f"{key}: {what}")
        elif (what := _wrong(fields[key], field.type)) is not None:
            add(key, f"{key} = {repr(fields[key])[:60]}: {what}")


def _close_or_all(key: str, known: Mapping[str, object]) -> str:
    theirs = [name for name in known if name not in {"event_id", "source_id", "received_ms", "device_at_ms", "version"}]
    return did_you_mean(key, theirs)


def _beyond(value: object) -> str | None:
    """Return what was expected instead of a value that can be kept nowhere, whatever its key; else None."""
    match value:
        case int() if not -_BEYOND < value < _BEYOND:
            return "expected a number of at most 18 digits"
        case str() if any("\ud800" <= letter <= "\udfff" for letter in value):
            return "it holds half of a character (\\ud800 to \\udfff); expected whole ones"
        case list() | tuple():
            return next((what for one in value if (what := _beyond(one)) is not None), None)
        case dict():
            return _beyond([*value, *value.values()])
        case _:
            return None


def _wrong(value: object, type_: Any) -> str | None:
    """Return what was expected instead of ``value``; None when it is of the type."""
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        close = nearest(str(value), _members(type_))
        return f"expected {_kind_of(type_)}; did you mean {close!r}?" if close else _expected(error, type_)
    return None


def _expected(error: msgspec.ValidationError, type_: Any) -> str:
    return f"expected {_kind_of(type_)}" if _members(type_) else _in_words(str(error))


def _kind_of(type_: Any) -> str:
    """Return a type in people's words."""
    if members := _members(type_):
        return f"one of {', '.join(members)}"
    try:
        msgspec.convert(object(), type_)
    except msgspec.ValidationError as error:
        return _in_words(str(error)).partition(", got")[0].removeprefix("expected ")
    return "a value"


def _members(type_: Any) -> list[str]:
    """Return the words of an enumeration; none of another type."""
    return [str(member) for member in type_] if isinstance(type_, type) and issubclass(type_, enum.StrEnum) else []


def _in_words(error: str) -> str:
    """Return what msgspec says of a type in people's words.

    >>> _in_words("Expected `int | null`, got `str` - at `$.silent_after_ms`")
    'expected a whole number, got text'
    """
    text = re.sub(r" - at `[^`]*`$", "", error)
    return re.sub(r"`([^`]*)`", lambda found: _named(found[1]), text[:1].lower() + text[1:])


def _named(types: str) -> str:
    names = [_WORDS.get(name.strip(), name.strip()) for name in types.split("|")]
    return " or ".join(name for name in names if name != "nothing") or "nothing"
