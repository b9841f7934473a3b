"""Events for rule tests: short calls that name only what a test is about. Times are given in ms since ``T0``."""

from __future__ import annotations

import itertools
from typing import Any

from contracts.events import (
    CONFIG_SOURCE,
    AccessAttempted,
    Credential,
    DeviceConfigured,
    DeviceReported,
    DeviceStateChanged,
    Direction,
    DoorChanged,
    DoorState,
    EnvironmentSampled,
    EvidenceRef,
    IngestInterrupted,
    ObjectFell,
    ObjectLabel,
    ObjectObserved,
    PassageObserved,
    PlaceConfigured,
    PowerSampled,
    TagSeen,
    ThresholdConfigured,
    TrackPhase,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse

T0 = 1_795_392_000_000  # 2026-11-23 00:00 UTC
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
BEFORE = -1_000

SITE = "s1"


class Script:
    """Builds events of one site; ids and versions count up, so equal calls give equal events in every run."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._versions = itertools.count(1)

    def _head(self, source_id: str, place_id: str, at: int) -> dict[str, Any]:
        at_ms = T0 + at
        return {
            "event_id": f"e{next(self._ids)}",
            "site_id": SITE,
            "source_id": source_id,
            "place_id": place_id,
            "at_ms": at_ms,
            "received_ms": at_ms,
        }

    def _record(self, place_id: str, at: int) -> dict[str, Any]:
        return {**self._head(CONFIG_SOURCE, place_id, at), "version": next(self._versions)}

    # --- configuration: a second before T0, so that it is in force when anything happens

    def device(
        self, device_id: str, kind: DeviceClass, place_id: str, at: int = BEFORE, **more: Any
    ) -> DeviceConfigured:
        return DeviceConfigured(**self._record(place_id, at), device_id=device_id, device_class=kind, **more)

    def place(
        self, place_id: str, use: PlaceUse, kind: PlaceKind = PlaceKind.ZONE, at: int = BEFORE, **where: Any
    ) -> PlaceConfigured:
        return PlaceConfigured(
            **self._record(place_id, at), place=Place(place_id=place_id, kind=kind, use=use, **where)
        )

    def threshold(self, rule: str, name: str, value: float, at: int = BEFORE) -> ThresholdConfigured:
        return ThresholdConfigured(**self._record(SITE, at), rule=rule, name=name, value=value)

    def visitors(self, registration_id: str, at: int = BEFORE, **more: Any) -> VisitorRegistered:
        return VisitorRegistered(
            **self._record("home", at), registration_id=registration_id, host_place_id="home", **more
        )

    def vehicle(self, vehicle_id: str, tag_id: str, home_place_id: str, at: int = BEFORE) -> VehicleRegistered:
        return VehicleRegistered(
            **self._record(home_place_id, at), vehicle_id=vehicle_id, tag_id=tag_id, home_place_id=home_place_id
        )

    def interrupted(self, from_: int, to: int) -> IngestInterrupted:
        """Ingest was not listening; the record stands at the end of what its watermark had proven."""
        return IngestInterrupted(**self._head("ingest", SITE, from_), from_ms=T0 + from_, to_ms=T0 + to)

    # --- doors

    def access(
        self,
        at: int,
        credential: Credential = Credential.CARD,
        *,
        granted: bool = True,
        direction: Direction = Direction.IN,
        door: str = "door1",
        gate: str = "gate1",
        **more: Any,
    ) -> AccessAttempted:
        head = self._head(gate, door, at)
        return AccessAttempted(**head, credential=credential, granted=granted, direction=direction, **more)

    def passage(
        self,
        at: int,
        track_id: int,
        *,
        direction: Direction = Direction.IN,
        door: str = "door1",
        camera: str = "cam1",
        **more: Any,
    ) -> PassageObserved:
        return PassageObserved(**self._head(camera, door, at), direction=direction, track_id=track_id, **more)

    def door(self, at: int, state: DoorState, door: str = "door1", gate: str = "gate1") -> DoorChanged:
        return DoorChanged(**self._head(gate, door, at), state=state)

    def reported(self, at: int, source_id: str, place_id: str = "door1", **more: Any) -> DeviceReported:
        return DeviceReported(**self._head(source_id, place_id, at), **more)

    def state(self, at: int, source_id: str, place_id: str, *, online: bool, **more: Any) -> DeviceStateChanged:
        return DeviceStateChanged(**self._head(source_id, place_id, at), online=online, **more)

    # --- cameras and sensors

    def object(
        self,
        at: int,
        label: ObjectLabel,
        phase: TrackPhase,
        *,
        track_id: int = 1,
        score: float = 0.9,
        place: str = "lift1",
        camera: str = "cam1",
        **more: Any,
    ) -> ObjectObserved:
        head = self._head(camera, place, at)
        return ObjectObserved(**head, label=label, phase=phase, track_id=track_id, score=score, **more)

    def fell(self, at: int, place: str = "facade1", camera: str = "cam1", **more: Any) -> ObjectFell:
        fall = {"track_id": 1, "started_ms": T0 + at - 1_500, "duration_ms": 1_500, "calibrated": True, **more}
        return ObjectFell(**self._head(camera, place, at), **fall)

    def power(self, at: int, watts: float, *, meter: str = "meter1", room: str = "room1", **more: Any) -> PowerSampled:
        return PowerSampled(**self._head(meter, room, at), power_w=watts, **more)

    def environment(
        self, at: int, *, sensor: str = "smoke1", place: str = "kitchen1", **more: Any
    ) -> EnvironmentSampled:
        return EnvironmentSampled(**self._head(sensor, place, at), **more)

    def tag(self, at: int, tag_id: str, place: str = "lobby1", reader: str = "reader1") -> TagSeen:
        return TagSeen(**self._head(reader, place, at), tag_id=tag_id)


def still(name: str = "a") -> EvidenceRef:
    """Evidence whose hash is made of ``name``."""
    digest = (name.encode().hex() * 64)[:64]
    return EvidenceRef(
        evidence_id=digest[:32], kind="still", sha256=digest, bytes=1_000, mime="image/jpeg", from_ms=T0, to_ms=T0
    )
