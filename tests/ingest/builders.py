"""Events, topics and records as short as tests want them."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.events import (
    Configuration,
    DeviceConfigured,
    DeviceReported,
    DoorChanged,
    DoorState,
    EnvironmentSampled,
    Event,
    Lane,
    ObjectLabel,
    ObjectObserved,
    PlaceConfigured,
    PowerSampled,
    SiteConfigured,
    SpoolMark,
    TrackPhase,
)
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse

NOW_MS = 1_795_000_000_000


def door(event_id: str = "e1", source_id: str = "g1", at_ms: int = NOW_MS, **fields: Any) -> DoorChanged:
    """A gate's door opened."""
    common: dict[str, Any] = {"event_id": event_id, "site_id": "s1", "source_id": source_id, "place_id": "door-1"}
    return DoorChanged(**{**common, "at_ms": at_ms, "state": DoorState.OPEN, **fields})


def power(event_id: str = "p1", source_id: str = "m1", at_ms: int = NOW_MS, **fields: Any) -> PowerSampled:
    """A meter's reading."""
    common: dict[str, Any] = {"event_id": event_id, "site_id": "s1", "source_id": source_id, "place_id": "room-1"}
    return PowerSampled(**{**common, "at_ms": at_ms, "power_w": 120.0, **fields})


def smoke(event_id: str = "f1", at_ms: int = NOW_MS, *, alarm: bool = True, **fields: Any) -> EnvironmentSampled:
    """A smoke sensor's alarm, or its calm: on the wire that is a reading, for what is as by default is left out."""
    common: dict[str, Any] = {"event_id": event_id, "site_id": "s1", "source_id": "smoke-1", "place_id": "hall-1"}
    common |= {} if alarm else {"temperature_c": 21.0}
    return EnvironmentSampled(**{**common, "at_ms": at_ms, "alarm": alarm, **fields})


def reported(event_id: str = "h1", source_id: str = "g1", at_ms: int = NOW_MS, **fields: Any) -> DeviceReported:
    """A heartbeat."""
    common: dict[str, Any] = {"event_id": event_id, "site_id": "s1", "source_id": source_id, "place_id": "door-1"}
    return DeviceReported(**{**common, "at_ms": at_ms, **fields})


def row(
    seq: int, *, first: int | None = None, lane: Lane = Lane.LIVE, at_ms: int = NOW_MS, **fields: Any
) -> ObjectObserved:
    """A row of box b1's spool: camera c1 saw an e-bike."""
    common: dict[str, Any] = {"event_id": f"sp1-{seq}", "site_id": "s1", "source_id": "c1", "place_id": "lift-1"}
    common |= {"label": ObjectLabel.E_BIKE, "phase": TrackPhase.PRESENT, "track_id": 1, "score": 0.9}
    mark = SpoolMark("b1", "sp1", lane, seq, first)
    return ObjectObserved(**{**common, "at_ms": at_ms, "spool": mark, **fields})


def site(site_id: str = "s1") -> SiteConfigured:
    """A site's record."""
    return SiteConfigured(
        event_id="", site_id=site_id, source_id="config", place_id=site_id, at_ms=NOW_MS, version=0, name=site_id
    )


PLACES = {"g1": "door-1", "m1": "room-1", "smoke-1": "hall-1", "c1": "lift-1"}
"""Where the devices of these builders stand, and say that they do."""


def device(device_id: str, device_class: DeviceClass, box_id: str | None = None, **fields: Any) -> DeviceConfigured:
    """A device's record."""
    common: dict[str, Any] = {"event_id": "", "site_id": "s1", "source_id": "config"}
    common["place_id"] = PLACES.get(device_id, "place-1")
    common |= {"at_ms": NOW_MS, "version": 0, "device_id": device_id, "device_class": device_class, "box_id": box_id}
    return DeviceConfigured(**{**common, **fields})


def place(place_id: str, kind: PlaceKind = PlaceKind.ZONE, parent_id: str | None = None) -> PlaceConfigured:
    """A place's record."""
    return PlaceConfigured(
        event_id="",
        site_id="s1",
        source_id="config",
        place_id=place_id,
        at_ms=NOW_MS,
        version=0,
        place=Place(place_id=place_id, kind=kind, use=PlaceUse.COMMON, parent_id=parent_id),
    )


def community() -> list[Configuration]:
    """Site s1: gate g1, meter m1, smoke sensor smoke-1, box b1 with camera c1."""
    return [
        site(),
        device("g1", DeviceClass.GATE),
        device("m1", DeviceClass.METER),
        device("smoke-1", DeviceClass.SENSOR),
        device("b1", DeviceClass.EDGE),
        device("c1", DeviceClass.CAM, "b1"),
    ]


def wire(event: Event) -> bytes:
    """The event as it is on the wire."""
    return msgspec.json.encode(event)
