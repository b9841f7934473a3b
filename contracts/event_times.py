"""The times that an event carries, and how they move together when the clock that told them does. Pure."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from contracts.events import ConfigurationRecord, Event, IngestEvent, IngestInterrupted, ObjectFell, RowsDropped
from contracts.events.identity import own_time_ms

E = TypeVar("E", bound=Event)
_SPAN = ("from_ms", "to_ms")
_OTHERS: dict[type[Event], tuple[str, ...]] = {
    ObjectFell: ("started_ms",),
    RowsDropped: _SPAN,
    IngestInterrupted: _SPAN,
}


def other_times(event: Event) -> tuple[str, ...]:
    """Return the fields that the clock of ``at_ms`` told as well. Evidence keeps the times that its file shows."""
    return _OTHERS.get(type(event), ())


def move(event: E, by_ms: int) -> E:
    """Return the event with every time of the log moved by ``by_ms``, never below 0; what a device said stays."""
    names = ("at_ms", "received_ms", *other_times(event))
    return msgspec.structs.replace(event, **{name: max(getattr(event, name) + by_ms, 0) for name in names})


def restamp(event: E, by_ms: int) -> E:
    """Return an event that is not in the log yet, on the log's new time.

    It is known again by its device's own time, so that stays. What ingest itself says has no other time.
    """
    moved = move(event, by_ms)
    if isinstance(event, ConfigurationRecord | IngestEvent):
        return moved
    return msgspec.structs.replace(moved, device_at_ms=own_time_ms(event))
