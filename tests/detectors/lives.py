"""Half a day of one site from a seed: enough that each rule finds something, and a lot that is nothing."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from contracts.events import (
    CameraImpairment,
    Credential,
    Direction,
    DoorState,
    Event,
    Lane,
    ObjectLabel,
    SpoolMark,
    TrackPhase,
)
from contracts.names import DeviceClass
from contracts.places import PlaceKind, PlaceUse
from tests.detectors.builders import HOUR, MINUTE, SECOND, Script, still
from tests.detectors.charging import curves

SPAN_MS = 11 * HOUR


def life(seed: int, site_id: str = "s1") -> list[Event]:
    """Events of ``site_id`` in order of time; equal seeds give equal lives."""
    rng, script = random.Random(seed), Script()
    events = _site(script)
    events += _doors(rng, script) + _lift(rng, script) + _sensors(rng, script) + _meters(rng, script)
    events += _cameras(rng, script)
    events.sort(key=lambda event: event.at_ms)
    return [msgspec.structs.replace(event, site_id=site_id) for event in events]


def _site(script: Script) -> list[Event]:
    where: dict[str, Any] = {"building": "b1", "unit": "u1"}
    return [
        script.place("lift1", PlaceUse.LIFT, PlaceKind.LIFT, **where),
        script.place("lobby1", PlaceUse.LOBBY, **where),
        script.place("room1", PlaceUse.DWELLING, PlaceKind.ROOM, floor=2, room="r201", **where),
        script.place("hall1", PlaceUse.COMMON, **where),
        script.device("box1", DeviceClass.EDGE, "lobby1", silent_after_ms=5 * MINUTE),
        script.device("cam1", DeviceClass.CAM, "lift1", box_id="box1", silent_after_ms=20 * MINUTE),
        script.device("cam2", DeviceClass.CAM, "door1"),
        script.device("gate1", DeviceClass.GATE, "door1", silent_after_ms=10 * MINUTE),
        script.device("smoke1", DeviceClass.SENSOR, "room1", silent_after_ms=3 * HOUR),
        script.device("meter1", DeviceClass.METER, "room1", consented=True, silent_after_ms=15 * MINUTE),
        script.device("meter2", DeviceClass.METER, "hall1", silent_after_ms=15 * MINUTE),
        script.visitors("v1", party_size=2, from_ms=0, to_ms=2**42),
        script.vehicle("bike1", "tag1", "room1"),
    ]


def _cameras(rng: random.Random, script: Script) -> list[Event]:
    """Reports of two cameras, one of which is impaired now and then, by this or that."""
    impaired: list[CameraImpairment | None] = [None, None, *CameraImpairment]
    events: list[Event] = []
    for at in range(0, SPAN_MS, 17 * MINUTE):
        why = rng.choice(impaired)
        events.append(script.reported(at, "cam2", "door1", healthy=why is None, impaired_by=why))
    return events


def _doors(rng: random.Random, script: Script) -> list[Event]:
    events: list[Event] = [script.reported(at, "gate1") for at in range(0, SPAN_MS, 8 * MINUTE) if rng.random() < 0.9]
    for _ in range(30):
        at = rng.randrange(SPAN_MS)
        if rng.random() < 0.9:
            events.append(_attempt(rng, script, at))
        if rng.random() < 0.5:
            events += [script.door(at + 500, DoorState.OPEN), script.door(at + rng.randrange(60_000), DoorState.CLOSED)]
        for person in range(rng.choice((1, 1, 2, 3))):
            seen_at = at + rng.randrange(20_000)
            events.append(_passage(rng, script, seen_at, person, "cam2"))
            if rng.random() < 0.2:
                events.append(_passage(rng, script, seen_at + rng.randrange(1_500), person + 40, "cam1"))
    return events


def _attempt(rng: random.Random, script: Script, at: int) -> Event:
    direction = rng.choice((Direction.IN, Direction.IN, Direction.OUT))
    granted = rng.random() < 0.8
    registration_id = "v1" if rng.random() < 0.2 else None
    credential = rng.choice(list(Credential))
    return script.access(at, credential, granted=granted, direction=direction, registration_id=registration_id)


def _passage(rng: random.Random, script: Script, at: int, track_id: int, camera: str) -> Event:
    direction = rng.choice((Direction.IN, Direction.IN, Direction.OUT, Direction.UNKNOWN))
    evidence = (still(f"p{at}"),) if rng.random() < 0.3 else ()
    return script.passage(at, track_id, direction=direction, camera=camera, score=rng.random(), evidence=evidence)


def _lift(rng: random.Random, script: Script) -> list[Event]:
    events: list[Event] = []
    for track in range(12):
        at, label = rng.randrange(SPAN_MS), rng.choice((ObjectLabel.E_BIKE, ObjectLabel.E_BIKE, ObjectLabel.PRAM))
        for step in range(rng.randrange(1, 12)):
            shown = label if rng.random() < 0.9 else ObjectLabel.BICYCLE
            phase = rng.choice((TrackPhase.ENTERED, TrackPhase.PRESENT, TrackPhase.PRESENT, TrackPhase.LEFT))
            mark = SpoolMark(box_id="box1", spool_id="sp1", lane=Lane.LIVE, seq=len(events) + 1)
            place = rng.choice(("lift1", "lift1", "lobby1"))
            seen_at, score = at + step * SECOND + rng.randrange(500), rng.random()
            events.append(script.object(seen_at, shown, phase, track_id=track, score=score, place=place, spool=mark))
    events.sort(key=lambda event: event.at_ms)  # a box numbers its rows in order
    return [
        msgspec.structs.replace(event, spool=SpoolMark(box_id="box1", spool_id="sp1", lane=Lane.LIVE, seq=number))
        for number, event in enumerate(events)
    ]


def _sensors(rng: random.Random, script: Script) -> list[Event]:
    events: list[Event] = [script.reported(at, "box1", "lobby1") for at in range(0, SPAN_MS, 4 * MINUTE)]
    warm = rng.randrange(SPAN_MS)
    for at in range(0, SPAN_MS, 10 * MINUTE):
        events.append(script.environment(at, sensor="smoke1", place="room1", temperature_c=21.0))
    for step in range(20):
        alarm, heat = rng.random() < 0.3, rng.uniform(15, 75)
        at = warm + step * 20 * SECOND + rng.randrange(SECOND)
        events.append(script.environment(at, sensor="smoke1", place="room1", alarm=alarm, temperature_c=heat))
    events += [script.fell(rng.randrange(SPAN_MS), drop_m=rng.uniform(0, 60)) for _ in range(5)]
    events += [script.tag(rng.randrange(SPAN_MS), rng.choice(("tag1", "tag9")), "lobby1") for _ in range(6)]
    gone = rng.randrange(SPAN_MS)
    return [
        *events,
        script.state(gone, "box1", "lobby1", online=False),
        script.state(gone + HOUR, "box1", "lobby1", online=True),
    ]


def _meters(rng: random.Random, script: Script) -> list[Event]:
    hours = SPAN_MS / HOUR
    charging = curves.CHARGERS[rng.choice(sorted(curves.CHARGERS))](rng, rng.uniform(2, 4) * 3600)
    light = curves.LOOK_ALIKES[rng.choice(sorted(curves.LOOK_ALIKES))](rng, hours)
    rooms = {"meter1": ("room1", [charging.load, curves.router(rng, hours)]), "meter2": ("hall1", [light])}
    quiet = rng.randrange(SPAN_MS), rng.randrange(2 * HOUR)
    events: list[Event] = []
    for meter, (room, loads) in rooms.items():
        for sample in curves.meter(loads, rng, hours=hours, every_s=180):
            at = int(sample.at_s * SECOND)
            if meter == "meter2" or not quiet[0] <= at < quiet[0] + quiet[1]:
                factor = sample.power_factor
                events.append(script.power(at, sample.watts, meter=meter, room=room, power_factor=factor))
    return events
