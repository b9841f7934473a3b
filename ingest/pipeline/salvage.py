"""What is right in a message that is not right as a whole. Pure.

Field by field: what cannot be used is dropped, and said; the rest is the event. A message whose substance is gone (a
meter's watts, a sensor that says no reading and no alarm that can be read) is refused: nobody shall take it for calm.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from contracts.errors import DropReason, Rejected
from contracts.events import (
    LIFE_SAFETY_KINDS,
    AccessAttempted,
    Credential,
    DeviceEvent,
    EnvironmentSampled,
    Event,
    ObjectFell,
    SpoolMark,
    is_life_safety,
)
from contracts.names import Topic, is_id
from ingest.pipeline.device_time import UNREADABLE_MS
from ingest.pipeline.field_values import read_field
from ingest.pipeline.lenient_json import Said, Twice, Unreadable, read_objects
from ingest.pipeline.spelling import spelled

ENVELOPE = "message"
"""What stands in place of a field where the message around them was wrong."""
BY_INGEST = frozenset({"received_ms", "device_at_ms", "future", "untrusted"})
"""What ingest says of a message, whatever the device says."""
_KINDS: dict[str, type[DeviceEvent]] = {str(kind.__struct_config__.tag): kind for kind in DeviceEvent.__args__}
_INSTEAD: dict[type[Event], dict[str, Any]] = {
    AccessAttempted: {"credential": Credential.NONE},
    ObjectFell: {"duration_ms": 0, "calibrated": False, "track_id": 0},
}
"""What a required field becomes that is no reason to lose the event."""
_ALARMING = tuple(str(kind.__struct_config__.tag) for kind in LIFE_SAFETY_KINDS)
_READINGS = ("smoke_pct_m", "temperature_c", "co_ppm", "humidity_pct")


class FieldFault(msgspec.Struct, frozen=True):
    """A part of a message that was dropped: a field of ours, or ``message``. ``said``: an id that stood there."""

    field: str
    reason: DropReason
    said: str = ""

    def __str__(self) -> str:
        return f"{self.field}:{self.reason}"


_CALM = frozenset({DropReason.NULL, DropReason.TWICE})
"""Of an alarm: nothing was said, or the worse of two counts. All else is an alarm that nobody can read."""


def is_lost_alarm(fault: FieldFault) -> bool:
    """Return whether what was dropped may have been an alarm."""
    return fault.field == "alarm" and fault.reason not in _CALM


def salvage(
    payload: bytes,
    topic: Topic | None,
    unnamed: str,
    faults: list[FieldFault],
    *,
    by_ingest: frozenset[str] = BY_INGEST,
) -> DeviceEvent | None:
    """Return the event that can be made of what is right in ``payload``; None when its substance is wrong.

    Args:
        payload: as it came.
        topic: where it came; what it says of site and device, where the message does not. None for a file's line.
        unnamed: its id, when it gives none that can be used.
        faults: is given what was dropped.
        by_ingest: fields that are not read.
    """
    try:
        said = read_objects(payload)
    except Rejected:
        return None
    made = [_made(one, topic, unnamed, by_ingest) for one in said.objects]
    chosen = _most_urgent(made)
    if chosen is None or chosen.event is None:
        return None
    faults += [FieldFault(ENVELOPE, reason) for reason in said.faults]
    faults += chosen.faults
    if not is_life_safety(chosen.event) and _may_alarm(said, made, chosen):
        faults.append(FieldFault("alarm", DropReason.TRAILING))
        if isinstance(chosen.event, EnvironmentSampled) and not has_reading(chosen.event):
            return None
    return chosen.event


class _Made(msgspec.Struct, frozen=True):
    """What became of one object of a message."""

    event: DeviceEvent | None
    faults: list[FieldFault]


def _made(said: dict[str, object], topic: Topic | None, unnamed: str, by_ingest: frozenset[str]) -> _Made:
    faults: list[FieldFault] = []
    said = spelled(said)
    kind = _KINDS.get(str(said.get("kind")).strip().casefold())
    if kind is None:
        return _Made(None, faults)
    fields = _fields(kind, said, faults, by_ingest)
    _name(fields, said, topic, unnamed)
    if kind is ObjectFell:
        fields.setdefault("started_ms", fields["at_ms"])
    return _Made(kind(**fields) if _whole(kind, fields, faults) else None, faults)


def _most_urgent(made: list[_Made]) -> _Made | None:
    """Return what a message of several objects is: one that alarms, else the first that is any; a row stays first."""
    whole = [one for one in made if one.event is not None]
    if made[0].event is not None and made[0].event.spool is not None:
        return made[0]
    return next((one for one in whole if one.event is not None and is_life_safety(one.event)), next(iter(whole), None))


def _may_alarm(said: Said, made: list[_Made], chosen: _Made) -> bool:
    """Return whether something beside what was chosen may be an alarm that cannot be read."""
    words = _ALARMING if not isinstance(chosen.event, EnvironmentSampled) else (*_ALARMING, "alarm")
    unread = [said.unread, *(str(one) for one, of in zip(said.objects, made, strict=True) if of.event is None)]
    lost = any(is_lost_alarm(fault) for of in made if of is not chosen for fault in of.faults)
    return lost or any(word in text.casefold() for word in words for text in unread)


def has_reading(event: EnvironmentSampled) -> bool:
    """Return whether a sensor's message says anything but its alarm."""
    return any(getattr(event, name) is not None for name in _READINGS)


def salvaged_mark(payload: bytes) -> object:
    """Return what a message says as ``spool``, whatever else is wrong with it."""
    try:
        return read_objects(payload).objects[0].get("spool")
    except Rejected:
        return None


def _fields(
    kind: type[Event], said: dict[str, object], faults: list[FieldFault], by_ingest: frozenset[str]
) -> dict[str, Any]:
    """Return the fields of ``kind`` that can be used, and those that something else stands for."""
    fields: dict[str, Any] = dict(_INSTEAD.get(kind, {}))
    for field in msgspec.structs.fields(kind):
        if field.name not in said or field.name in by_ingest:
            continue
        value, reason = read_field(field.name, field.type, said[field.name])
        if field.name == "place_id" and reason is None and not is_id(value):
            reason = DropReason.WRONG_TYPE
        if value is not msgspec.UNSET:
            fields[field.name] = value
        if reason is not None:
            faults.append(FieldFault(field.name, reason))
    return fields


def _name(fields: dict[str, Any], said: dict[str, object], topic: Topic | None, unnamed: str) -> None:
    """Let the topic, the inventory and the clock of ingest say what the message does not: who, where and when."""
    if topic is not None:
        fields.setdefault("site_id", topic.site_id)
        if topic.device_class != "edge":
            fields.setdefault("source_id", topic.device_id)
    if not is_id(fields.setdefault("place_id", "")):
        fields["place_id"] = ""
    fields.setdefault("at_ms", UNREADABLE_MS)
    given = fields.get("event_id", "")
    if not given or not given.isprintable():
        device_id = topic.device_id if topic is not None else None
        own = own_name(fields.get("spool"), fields.get("seq"), device_id) if device_id is not None else None
        fields["event_id"] = own or _name_of_bad(said.get("event_id"), device_id) or unnamed


def own_name(mark: SpoolMark | None, seq: int | None, device_id: str) -> str | None:
    """Return the event id of a message without one: of its spool row, or of the device's own number."""
    if mark is not None:
        return f"{mark.spool_id:.40}-{mark.lane}-{mark.seq}"
    return f"{device_id}-{seq}" if seq is not None else None


def _name_of_bad(given: object, device_id: str | None) -> str | None:
    """Return an id in place of one that is none, the same for the same: the message may come again."""
    if device_id is None or not given or isinstance(given, Unreadable | Twice):
        return None
    return f"{device_id}-{crc32(str(given).encode(errors='replace')):08x}"


def _whole(kind: type[Event], fields: dict[str, Any], faults: list[FieldFault]) -> bool:
    """Return whether enough is left to be an event."""
    missing = [field for field in msgspec.structs.fields(kind) if field.required and field.name not in fields]
    lost = {fault.field for fault in faults}
    if missing or "spool" in lost:  # a row without its mark would never be answered
        return False
    if kind is EnvironmentSampled and "alarm" not in fields:
        return any(fields.get(name) is not None for name in _READINGS)
    return True
