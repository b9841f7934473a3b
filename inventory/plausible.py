"""Values of the right type that cannot be meant: wrong units, unseen characters, people for references. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from contracts.durations import DAY_MS
from contracts.events import (
    ConfigurationRecord,
    ConsentRecorded,
    DeviceConfigured,
    PlaceConfigured,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.suggestions import nearest
from inventory.faults import RecordFault

SILENT_LEAST_MS, SILENT_MOST_MS = 10_000, 31 * DAY_MS
"""No device reports so often that ten seconds tell, and none that matters so seldom."""
_FIRST_MS, _LAST_MS = 946_684_800_000, 4_102_444_800_000  # 2000 and 2100
PURPOSES = ("absence", "meter")
"""What a person may agree to: another word would be a consent to nothing."""
FLOOR_LEAST, FLOOR_MOST = -20, 200
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"  # NUL, ESC and other controls; halves of characters
    r"|[\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"  # other ends of lines; what shows a name otherwise than written
)
_PERSONAL = re.compile(r"(?:(?:\+|00)?86)?1[3-9]\d{9}|\+\d{7,15}|0\d{9,11}|\d{17}[\dXx]|\S+@\S+\.\S+")
_UNITS = (("seconds", 1_000), ("microseconds", 0.001))


def implausible(record: ConfigurationRecord) -> list[RecordFault]:
    """Return the values of a record that cannot be meant; none of one that is taken out."""
    return [] if record.removed else [*_numbers(record), *_texts(record), *_references(record)]


def _numbers(record: ConfigurationRecord) -> list[RecordFault]:
    match record:
        case DeviceConfigured(silent_after_ms=int() as limit):
            return _outside("silent_after_ms", limit, SILENT_LEAST_MS, SILENT_MOST_MS, "10000 (10 s) to 31 days")
        case VisitorRegistered():
            return _visit(record)
        case ConsentRecorded(until_ms=int() as until_ms):
            return _time("until_ms", until_ms)
        case PlaceConfigured(place=place) if place.floor is not None and not FLOOR_LEAST <= place.floor <= FLOOR_MOST:
            return [RecordFault("floor", f"floor = {place.floor}: expected {FLOOR_LEAST} to {FLOOR_MOST}")]
        case _:
            return []


def _texts(record: ConfigurationRecord) -> Iterator[RecordFault]:
    """Yield what no text may hold: it would be shown as something else, or not at all."""
    for key, text in _written(record):
        if unseen := _UNSEEN.search(text):
            name = f"the character U+{ord(unseen[0]):04X}"
            yield RecordFault(key, f"{key} holds {name}, which is not seen; expected letters that people can read")


def _written(record: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """Yield key and value of each text of a record, those of its lists and of its place among them."""
    for key in record.__struct_fields__:
        match getattr(record, key):
            case str() as text:
                yield key, text
            case tuple() as texts:
                yield from ((key, text) for text in texts if isinstance(text, str))
            case msgspec.Struct() as inner:
                yield from _written(inner)


def _references(record: ConfigurationRecord) -> Iterator[RecordFault]:
    """Yield what names a person by more than a reference, and purposes that there are none of."""
    match record:
        case ConsentRecorded():
            named = [("subject_ref", record.subject_ref)]
            if record.purpose not in PURPOSES:
                close = nearest(record.purpose, PURPOSES)
                guess = f"; did you mean {close!r}?" if close else ""
                text = f"purpose = {record.purpose!r} is none; expected one of {', '.join(PURPOSES)}{guess}"
                yield RecordFault("purpose", text)
        case VehicleRegistered():
            named = [("owner_refs", ref) for ref in record.owner_refs]
        case _:
            return
    for key, ref in named:
        if _PERSONAL.fullmatch(re.sub(r"[\s()-]", "", ref)):
            text = f"{key} reads as a telephone number, a mail address or an identity card's number"
            yield RecordFault(key, f"{text}; expected a reference that names nobody, such as p-8f3a61")


def _visit(record: VisitorRegistered) -> list[RecordFault]:
    begins = _time("from_ms", record.from_ms) if record.from_ms else []
    wrong = begins + _time("to_ms", record.to_ms)
    if not wrong and record.to_ms <= record.from_ms:
        wrong.append(RecordFault("to_ms", f"to_ms = {record.to_ms}: expected a time after from_ms = {record.from_ms}"))
    return wrong


def _time(key: str, value: int) -> list[RecordFault]:
    return _outside(key, value, _FIRST_MS, _LAST_MS, "a time since 1970, of a day from 2000 to 2100")


def _outside(key: str, value: int, least: int, most: int, allowed: str) -> list[RecordFault]:
    if least <= value <= most:
        return []
    meant = next(((unit, round(value * factor)) for unit, factor in _UNITS if least <= value * factor <= most), None)
    guess = f"; {meant[0]}? Then write {meant[1]}" if meant else ""
    return [RecordFault(key, f"{key} = {value}: expected {allowed}, in milliseconds{guess}")]
