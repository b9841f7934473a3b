"""What cameras and tag readers see: objects in zones, things that fall, tags."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from contracts.events.access import Direction
from contracts.events.envelope import DurationMs, Event, Ms, Score, Seq, ShortText
from contracts.names import Id


class ObjectLabel(enum.StrEnum):
    """What vision may name. E-bikes and bicycles are different things to every rule."""

    PERSON = "person"
    E_BIKE = "e_bike"
    BICYCLE = "bicycle"
    MOTORCYCLE = "motorcycle"
    WHEELCHAIR = "wheelchair"
    PRAM = "pram"
    TOY_VEHICLE = "toy_vehicle"
    CAR = "car"
    WIRE = "wire"
    ANIMAL = "animal"
    OTHER = "other"


class TrackPhase(enum.StrEnum):
    """Where an object in a zone stands in its life."""

    ENTERED = "entered"
    PRESENT = "present"
    LEFT = "left"


class ObjectObserved(Event, frozen=True, kw_only=True, tag="object_observed"):
    """A tracked object in a zone: once on entering, about every second while there, once on leaving.

    ``place_id`` is the zone's place; ``dwell_ms`` how long the track has been inside so far.
    """

    label: ObjectLabel
    phase: TrackPhase
    track_id: Seq
    score: Score
    dwell_ms: DurationMs = 0


class ObjectFell(Event, frozen=True, kw_only=True, tag="object_fell"):
    """An object fell past a facade. ``place_id`` is the column when known, else the camera's facade.

    ``at_ms`` is the time of its last sighting. ``floor``/``floor_error`` are storeys, None when the camera is not
    calibrated. ``suspected``: it went far down but failed the gravity test. ``evidence_of``: this is no other fall, but
    the evidence of the one with that event id, which was told before its clip was cut.
    """

    track_id: Seq
    started_ms: Ms
    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)]
    calibrated: bool
    suspected: bool = False
    drop_m: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    drop_error_m: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    floor: Annotated[float, msgspec.Meta(ge=-10, le=200)] | None = None
    floor_error: Annotated[float, msgspec.Meta(ge=0, le=200)] | None = None
    column: Id | None = None
    gravity_ms2: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    fit_error_px: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0
    size_px: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0
    score: Score = 1.0
    evidence_of: ShortText | None = None


class TagSeen(Event, frozen=True, kw_only=True, tag="tag_seen"):
    """A reader heard a vehicle's tag. ``place_id`` is the reader's place."""

    tag_id: Id
    direction: Direction = Direction.UNKNOWN
    rssi_dbm: Annotated[float, msgspec.Meta(ge=-200, le=50)] | None = None
