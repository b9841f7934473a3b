"""An event of the log that this program cannot read: its header, and its bytes as they were. Pure.

A newer ingest may write kinds that workers do not know yet. They pass such an event over, and whoever copies the log
copies its bytes, so that a later program reads it.
"""

from __future__ import annotations

import msgspec

from contracts.events.envelope import Event

MAX_KIND = 40
"""Characters of a kind that are told."""


class UnreadBytes:
    """The bytes of an event. No encoder knows them by itself, so nobody can write them down as something else."""

    __slots__ = ("raw",)

    def __init__(self, raw: msgspec.Raw) -> None:
        self.raw = raw


class UnreadEvent(Event, frozen=True, kw_only=True, tag="unread"):
    """One that cannot be read. ``said_kind`` and ``v`` are what it says of itself; no rule ever takes it."""

    said_kind: str
    unread: UnreadBytes


class _Header(msgspec.Struct, frozen=True):
    kind: str
    site_id: str
    source_id: str
    event_id: str = ""
    place_id: str = ""
    v: int = 1
    at_ms: int = 0
    received_ms: int = 0
    stored: bool = False


_HEADER = msgspec.msgpack.Decoder(_Header)


def unread_event(raw: msgspec.Raw) -> UnreadEvent:
    """Return the event in ``raw``, which is none that this program knows.

    Raises:
        msgspec.DecodeError: it has no header either, so it is no event at all.
    """
    fields = msgspec.structs.asdict(_HEADER.decode(raw))
    kind = fields.pop("kind")[:MAX_KIND]
    return UnreadEvent(**fields, said_kind=kind, unread=UnreadBytes(raw.copy()))
