"""What goes on among the devices of ``bench.traffic``: something for every rule, wherever it can happen, in turn."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from contracts.events import (
    CameraImpairment,
    DeviceReported,
    DeviceStateChanged,
    Direction,
    EnvironmentSampled,
    Event,
    ObjectFell,
    ObjectLabel,
    ObjectObserved,
    PassageObserved,
    TrackPhase,
)
from contracts.names import DeviceClass
from simulator.community import Community, Device, Unit

Actor = Iterator[tuple[float, Event]]
"""(seconds to wait, event), without end."""

INCIDENT_S = 4.0
"""Something happens for every rule so often: fifteen times a minute."""
QUIET_DOORS = 4
"""At every so-manieth door nobody has a credential; the others have only people who do."""
GRACE_MS = 5_000
"""After its last will a device is silent so soon; thirty seconds would be half of a short run."""
FALL_MS = 1_200
SIGHTING_S = 0.7


class Situations:
    """Actors of one of ``sites`` communities. ``tracks`` numbers what cameras follow."""

    def __init__(self, community: Community, sites: int, rng: random.Random, tracks: Iterator[int]) -> None:
        self._community, self._rng, self._tracks = community, rng, tracks
        self._site_id = community.site_id
        self._each_s = INCIDENT_S * sites

    def actors(self, failing: Sequence[Device]) -> list[Actor]:
        """Return everything that happens; ``failing`` devices come and go."""
        quiet, facades = self._community.units[::QUIET_DOORS], self._community.buildings
        lifts, sensors = self._community.units, self._community.of_class(DeviceClass.SENSOR)
        return [
            *(self._gate_lives(unit) for unit in quiet),
            *(self._strangers(unit, self._each_s * len(quiet)) for unit in quiet),
            *(self._ebikes(unit, self._each_s * len(lifts)) for unit in lifts),
            *(self._falls(b.facade_camera_id, b.column_id(1), self._each_s * len(facades)) for b in facades),
            *(self._blinks(b.facade_camera_id, b.facade_id, self._each_s * len(facades)) for b in facades),
            *(self._smoke(sensor, self._each_s * len(sensors)) for sensor in sensors),
            *(self._fails(meter, self._each_s * len(failing)) for meter in failing),
        ]

    def _gate_lives(self, unit: Unit) -> Actor:
        gate = head(self._site_id, unit.gate_id, unit.door_id)
        yield 0.0, DeviceReported(**gate)
        while True:
            yield 20.0, DeviceReported(**gate)

    def _strangers(self, unit: Unit, pause_s: float) -> Actor:
        wait_s = self._phase(pause_s)
        while True:
            yield wait_s, passage(self._site_id, unit, next(self._tracks))
            wait_s = pause_s

    def _ebikes(self, unit: Unit, pause_s: float) -> Actor:
        camera = head(self._site_id, unit.camera_id("lift"), unit.lift_id)
        yield self._phase(pause_s), DeviceReported(**camera)
        while True:
            seen = stay(camera, ObjectLabel.E_BIKE, next(self._tracks), 6)
            yield from zip(itertools.repeat(SIGHTING_S), seen)
            yield pause_s - SIGHTING_S * len(seen), DeviceReported(**camera)

    def _falls(self, camera_id: str, column_id: str, pause_s: float) -> Actor:
        camera = head(self._site_id, camera_id, column_id)
        wait_s = self._phase(pause_s)
        while True:
            track_id = next(self._tracks)
            yield (
                wait_s,
                ObjectFell(
                    **camera, track_id=track_id, started_ms=0, duration_ms=FALL_MS, calibrated=True, drop_m=12.0
                ),
            )
            wait_s = pause_s

    def _blinks(self, camera_id: str, facade_id: str, pause_s: float) -> Actor:
        camera = head(self._site_id, camera_id, facade_id)
        yield self._phase(pause_s), DeviceReported(**camera, healthy=False, impaired_by=CameraImpairment.BLACK)
        while True:
            yield 2.0, DeviceReported(**camera)
            yield pause_s - 2.0, DeviceReported(**camera, healthy=False, impaired_by=CameraImpairment.BLACK)

    def _smoke(self, sensor: Device, pause_s: float) -> Actor:
        yield self._phase(pause_s), air(self._site_id, sensor, alarm=True)
        while True:
            yield 2.0, air(self._site_id, sensor)
            yield pause_s - 2.0, air(self._site_id, sensor, alarm=True)

    def _fails(self, meter: Device, pause_s: float) -> Actor:
        itself, away_s = head(self._site_id, meter.device_id, meter.place_id), 2 * GRACE_MS / 1_000
        yield self._phase(pause_s), DeviceStateChanged(**itself, online=False)
        while True:
            yield away_s, DeviceStateChanged(**itself, online=True)
            yield pause_s - away_s, DeviceStateChanged(**itself, online=False)

    def _phase(self, pause_s: float) -> float:
        """Return the time to an actor's first turn: all of a kind together are evenly at work from the start."""
        return self._rng.uniform(1.0, pause_s)


def passage(site_id: str, unit: Unit, track_id: int) -> PassageObserved:
    """Return that somebody comes in at a unit's door."""
    camera = head(site_id, unit.camera_id("door"), unit.door_id)
    return PassageObserved(**camera, direction=Direction.IN, track_id=track_id, score=0.9)


def stay(camera: dict[str, Any], label: ObjectLabel, track_id: int, sightings: int) -> list[ObjectObserved]:
    """Return the events of something that enters a zone, is there, and leaves."""
    phases = [TrackPhase.ENTERED, *[TrackPhase.PRESENT] * (sightings - 2), TrackPhase.LEFT]
    return [
        ObjectObserved(
            **camera, label=label, phase=phase, track_id=track_id, score=0.9, dwell_ms=int(n * SIGHTING_S * 1_000)
        )
        for n, phase in enumerate(phases)
    ]


def air(site_id: str, sensor: Device, *, alarm: bool = False) -> EnvironmentSampled:
    """Return a sensor's reading."""
    itself = head(site_id, sensor.device_id, sensor.place_id)
    return EnvironmentSampled(**itself, alarm=alarm, smoke_pct_m=12.0 if alarm else 0.2, temperature_c=24.0)


def head(site_id: str, source_id: str, place_id: str) -> dict[str, Any]:
    """Return what an event of this device has in common with its others; id and time come when it is sent."""
    return {"event_id": "", "site_id": site_id, "source_id": source_id, "place_id": place_id, "at_ms": 0}
