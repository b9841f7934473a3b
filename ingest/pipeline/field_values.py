"""One field of a message: what it says, read as generously as its type allows, or why it says nothing. Pure."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

import msgspec

from contracts.errors import DropReason
from contracts.events import EvidenceRef
from contracts.names import is_sha256
from ingest.pipeline.lenient_json import Twice, Unreadable, number_of

MAX_GAUGES = 64
MAX_EVIDENCE = 8
_YES = frozenset({"true", "on", "yes", "1", "alarm"})
_NO = frozenset({"false", "off", "no", "0", "normal"})
_UNITS = {"c": ("c", "°c", "℃"), "pct": ("%",), "w": ("w",), "v": ("v",), "a": ("a",), "kwh": ("kwh",), "ppm": ("ppm",)}
"""What may stand behind a number, by the end of its field's name."""
_MEASURED = re.compile(r"\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*(\D*?)\s*")
_UNIONS = (Union, type(int | None))
_VAGUE = ("unknown", "other", "none")
"""Members of an enumeration that a word nobody knows may become, the best first."""

Read: TypeAlias = "tuple[Any, DropReason | None]"
"""A value, and why it is not the one that was sent; ``msgspec.UNSET`` when nothing of it can be kept."""


def read_field(name: str, type_: Any, value: object) -> Read:
    """Return what ``value`` says as the field ``name`` of type ``type_``.

    >>> read_field("alarm", bool, "ON"), read_field("temperature_c", float, "21.5 °C")
    ((True, None), (21.5, None))
    >>> read_field("temperature_c", float, "70 °F")[1].value
    'unknown_unit'
    """
    optional, plain = _unwrapped(type_)
    if value is None:
        return (None, None) if optional else (msgspec.UNSET, DropReason.NULL)
    if isinstance(value, Unreadable):
        return msgspec.UNSET, value.reason
    if isinstance(value, Twice):
        return _one_of(name, type_, value)
    return _reader_of(plain)(name, type_, plain, value)


def _unwrapped(type_: Any) -> tuple[bool, Any]:
    """Return whether ``type_`` may be None, and the type below its bounds."""
    optional = False
    if get_origin(type_) in _UNIONS:
        optional = True
        type_ = next(one for one in get_args(type_) if one is not type(None))
    return optional, get_args(type_)[0] if get_origin(type_) is Annotated else type_


def _one_of(name: str, type_: Any, value: Twice) -> Read:
    """Return nothing of two values, for nobody knows which is right; but of two alarms the one that is."""
    if name != "alarm":
        return msgspec.UNSET, DropReason.TWICE
    read = [read_field(name, type_, one) for one in value.values]
    if any(alarm is True for alarm, _ in read):
        return True, DropReason.TWICE
    return next(((said, reason) for said, reason in read if reason is not None), (False, DropReason.TWICE))


def _checked(type_: Any, value: object) -> Read:
    try:
        return msgspec.convert(value, type_), None
    except msgspec.ValidationError as error:
        beyond = re.search(r"(<=|>=|<|>) |length|out of range", str(error))
        return msgspec.UNSET, DropReason.OUT_OF_RANGE if beyond else DropReason.WRONG_TYPE


def _as_it_is(_name: str, type_: Any, _plain: Any, value: object) -> Read:
    if _holds_unreadable(value):
        return msgspec.UNSET, DropReason.UNREADABLE
    return _checked(type_, value)


def _holds_unreadable(value: object) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, Unreadable | Twice) or any(_holds_unreadable(one) for one in inner)


def _truth(_name: str, _type: Any, _plain: Any, value: object) -> Read:
    if isinstance(value, int | float):  # True is an int
        return (bool(value), None) if value in {0, 1} else (msgspec.UNSET, DropReason.OUT_OF_RANGE)
    if not isinstance(value, str):
        return msgspec.UNSET, DropReason.WRONG_TYPE
    word = value.strip().casefold()
    if word in _YES or word in _NO:
        return word in _YES, None
    return msgspec.UNSET, DropReason.UNKNOWN_WORD


def _number(name: str, type_: Any, plain: Any, value: object) -> Read:
    if isinstance(value, str):
        value, reason = _measured(name, value)
        if reason is not None:
            return msgspec.UNSET, reason
    if isinstance(value, bool) or not isinstance(value, int | float):
        return msgspec.UNSET, DropReason.WRONG_TYPE
    if not math.isfinite(value):
        return msgspec.UNSET, DropReason.NOT_A_NUMBER
    if plain is int and value == int(value):  # 7.0
        value = int(value)
    return _checked(type_, float(value) if plain is float and abs(value) < 2**1000 else value)


def _measured(name: str, text: str) -> tuple[object, DropReason | None]:
    """Return the number in a text, if nothing stands behind it but the field's own unit."""
    found = _MEASURED.fullmatch(text)
    value = number_of(found[1] if found else text.strip())
    if isinstance(value, Unreadable):
        return None, value.reason if value.reason is not DropReason.UNREADABLE else DropReason.WRONG_TYPE
    unit = found[2].casefold() if found else ""
    if unit and unit not in _UNITS.get(name.rpartition("_")[2], ()):
        return None, DropReason.UNKNOWN_UNIT
    return value, None


def _text(name: str, type_: Any, _plain: Any, value: object) -> Read:
    if name == "event_id" and isinstance(value, int):
        value = str(value)
    if isinstance(value, str) and ("\0" in value or "\ufffd" in value):
        return msgspec.UNSET, DropReason.ENCODING
    return _checked(type_, value)


def _word(_name: str, _type: Any, plain: Any, value: object) -> Read:
    members = {member.value: member for member in plain}
    if isinstance(value, str) and (word := value.strip().casefold()) in members:
        return members[word], None
    vague = next((members[word] for word in _VAGUE if word in members), msgspec.UNSET)
    return vague, DropReason.UNKNOWN_WORD if isinstance(value, str) else DropReason.WRONG_TYPE


def _gauges(_name: str, _type: Any, _plain: Any, value: object) -> Read:
    """Return those gauges that are numbers with a name."""
    if not isinstance(value, dict):
        return msgspec.UNSET, DropReason.WRONG_TYPE
    kept: dict[str, float] = {}
    worst: DropReason | None = None
    for key, said in value.items():
        gauge, reason = read_field(key, float, said)
        if reason is None and len(key) <= 80 and "\0" not in key:
            kept[key] = gauge
        else:
            worst = reason or DropReason.OUT_OF_RANGE
    if len(kept) > MAX_GAUGES:
        return dict(list(kept.items())[:MAX_GAUGES]), DropReason.TOO_MANY
    return kept, worst


def _evidence(_name: str, _type: Any, _plain: Any, value: object) -> Read:
    """Return those references that are whole: what happened matters more than a picture that no file can be."""
    if not isinstance(value, list):
        return msgspec.UNSET, DropReason.WRONG_TYPE
    read = [_reference(one) for one in value]
    kept = tuple(reference for reference, reason in read if reason is None)
    if len(kept) > MAX_EVIDENCE:
        return kept[:MAX_EVIDENCE], DropReason.TOO_MANY
    return kept, next((reason for _, reason in read if reason is not None), None)


def _reference(value: object) -> Read:
    reference, reason = _as_it_is("", EvidenceRef, EvidenceRef, value)
    return reference, reason if reason is not None or is_sha256(reference.sha256) else DropReason.WRONG_TYPE


_READERS: dict[Any, Callable[[str, Any, Any, object], Read]] = {
    bool: _truth,
    int: _number,
    float: _number,
    str: _text,
    dict: _gauges,
    tuple: _evidence,
}


def _reader_of(plain: Any) -> Callable[[str, Any, Any, object], Read]:
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return _word
    return _READERS.get(get_origin(plain) or plain, _as_it_is)
