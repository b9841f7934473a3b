"""What every event has: ids, times, origin, evidence, and the row of a box's spool it came in."""

from __future__ import annotations

import enum
from typing import Annotated, Literal, TypedDict

import msgspec

from contracts.names import Id

EVENT_VERSION = 1


Ms = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000)]
"""Epoch milliseconds UTC, up to the year 9999."""


DurationMs = Annotated[int, msgspec.Meta(ge=0, le=31_622_400_000)]


Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


Score = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


ShortText = Annotated[str, msgspec.Meta(max_length=80)]


Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]


PersonRef = Annotated[str, msgspec.Meta(max_length=64)]
"""A keyed pseudonym per site, never a name or number."""


class Origin(enum.StrEnum):
    """Carried from event to delivery: anything but ``live`` never reaches grid or police."""

    LIVE = "live"
    DRILL = "drill"
    SIMULATED = "simulated"


class Lane(enum.StrEnum):
    """Which queue of a box's spool a row was sent from; each is sent in order."""

    LIVE = "live"
    BACKLOG = "backlog"


class SpoolMark(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The identity of a row of a box's spool. ``spool_id`` is random, another one after each start of the box.

    ``first`` is the lane's oldest row that the box still holds, as it sends this one. By it ingest sees that rows
    before this one got lost on the way, and waits for them instead of acknowledging past them; it never reaches the
    log. A box sends nothing past a hole in its lane (rows dropped by quota) before everything before the hole is
    acknowledged.
    """

    box_id: Id
    spool_id: Id
    lane: Lane
    seq: Seq
    first: Seq | None = None


class EvidenceRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A still or clip cut at observation. Its bytes are fetched by SHA-256."""

    evidence_id: ShortText
    kind: Literal["still", "clip"]
    sha256: Sha256
    bytes: Annotated[int, msgspec.Meta(ge=0, le=268_435_456)]
    mime: ShortText
    from_ms: Ms
    to_ms: Ms


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True, gc=False):
    """What every event has.

    ``event_id`` is stable across redelivery. ``at_ms`` is when it happened; ``device_at_ms`` the device's claim, kept
    only where ingest shifted it; ``received_ms`` when its partition's writer accepted it. ``source_id`` is the device
    (for a box's cameras: the camera). ``seq`` is the device's own gapless counter, where it has one.

    ``untrusted`` is set by ingest where a time cannot be relied on: ``at_ms`` is then ``received_ms``; with ``stored``
    it is the device's own, and ingest recognised that the device had kept the message without saying so.
    """

    v: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = EVENT_VERSION
    event_id: ShortText
    site_id: Id
    source_id: Id
    place_id: Id
    at_ms: Ms
    received_ms: Ms = 0
    device_at_ms: Ms | None = None
    seq: Seq | None = None
    spool: SpoolMark | None = None
    stored: bool = False
    future: bool = False  # the device's time lay > 2 s ahead, so at_ms is received_ms
    untrusted: bool = False
    origin: Origin = Origin.LIVE
    model: ShortText | None = None
    evidence: tuple[EvidenceRef, ...] = ()


class EventHeader(TypedDict):
    """The fields that every event must have, to be unpacked into one: ``DoorChanged(**header, state=…)``."""

    event_id: str
    site_id: str
    source_id: str
    place_id: str
    at_ms: int


def event_header(site_id: str, source_id: str, place_id: str, at_ms: int, event_id: str = "") -> EventHeader:
    """Return what an event of this device, at this place and time, begins with; without an id its sender gives one."""
    return EventHeader(event_id=event_id, site_id=site_id, source_id=source_id, place_id=place_id, at_ms=at_ms)
