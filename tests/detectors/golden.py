"""The golden scenarios: one small file of events a rule, and the findings that every runtime must give for it.

``tests/scenarios/<rule>.jsonl`` holds events in order of acceptance, ``<rule>.findings.jsonl`` the findings without the
position and number that depend on how a log is cut. ``python -m tests.detectors.golden`` writes both anew; the
difference is then for a person to read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from contracts.events import (
    AnyEvent,
    CameraImpairment,
    Credential,
    Direction,
    DoorState,
    Event,
    ObjectLabel,
    TrackPhase,
)
from contracts.findings import Finding, Output
from contracts.names import DeviceClass
from contracts.places import PlaceKind, PlaceUse
from detectors.core.rule import Rule
from detectors.registry import all_rules
from streams.engine.in_memory_run import run_file
from tests.detectors.builders import HOUR, MINUTE, SECOND, Script, still
from tests.detectors.charging import curves

FOLDER = Path(__file__).parent.parent / "scenarios"
DELAY_MS = 120
"""How long after it happened every event of a scenario arrives."""


def events_of(name: str) -> list[AnyEvent]:
    """The events of a scenario, read from its file."""
    lines = (FOLDER / f"{name}.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=AnyEvent) for line in lines]


def findings_of(name: str) -> list[Finding]:
    """The findings expected of a scenario, read from its file."""
    lines = (FOLDER / f"{name}.findings.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Finding) for line in lines]


def found_in(events: Sequence[AnyEvent], *, rules: Sequence[Rule[Any]] | None = None, **how: Any) -> list[Output]:
    """What all rules (or those given) find in ``events``, without positions and numbers."""
    outputs = run_file(events, all_rules() if rules is None else rules, **how)
    return [msgspec.structs.replace(output, position=0, number=0) for output in outputs]


# --- the scenarios ----------------------------------------------------------------------------------------------------


def _camera_impaired(script: Script) -> list[Event]:
    """Covered, then without pictures, then well; one that only moves; a gate and a box that say the same are none."""
    told: list[tuple[int, str, CameraImpairment | None]] = [
        (0, "cam9", None),
        (15, "cam9", CameraImpairment.COVERED),
        (30, "cam9", CameraImpairment.COVERED),
        (45, "cam9", CameraImpairment.NO_FRAMES),
        (50, "gate9", CameraImpairment.BLACK),
        (60, "cam8", CameraImpairment.MOVED),
        (300, "cam9", None),
        (315, "cam9", None),
    ]
    return [
        script.device("cam9", DeviceClass.CAM, "lift9"),
        script.device("cam8", DeviceClass.CAM, "hall9"),
        script.device("gate9", DeviceClass.GATE, "door9"),
        *(script.reported(at * SECOND, who, "lift9", healthy=why is None, impaired_by=why) for at, who, why in told),
        script.device("cam8", DeviceClass.CAM, "hall9", at=HOUR, removed=True),
        script.reported(HOUR + MINUTE, "gate9", "door9"),
    ]


def _device_silent(script: Script) -> list[Event]:
    """Silent, back, an outage of ingest that accuses nobody, a last will, and a removed device."""
    sampled = [*range(6), *range(20, 30), *range(41, 44)]
    return [
        script.device("meter9", DeviceClass.METER, "pump1", silent_after_ms=5 * MINUTE),
        script.device("gate9", DeviceClass.GATE, "door9", silent_after_ms=HOUR),
        *(script.power(at * MINUTE, 12.5, meter="meter9", room="pump1") for at in sampled),
        script.interrupted(30 * MINUTE, 40 * MINUTE),
        script.reported(31 * SECOND, "gate9", "door9"),
        script.state(10 * MINUTE, "gate9", "door9", online=False),
        script.reported(12 * MINUTE, "gate9", "door9"),
        script.device("meter9", DeviceClass.METER, "pump1", at=HOUR, silent_after_ms=5 * MINUTE, removed=True),
        script.reported(70 * MINUTE, "gate9", "door9"),
    ]


def _high_altitude_throw(script: Script) -> list[Event]:
    """A calibrated fall, a suspected one, an uncalibrated one."""
    measured: dict[str, Any] = {
        "drop_m": 31.2,
        "drop_error_m": 1.1,
        "floor": 11.0,
        "floor_error": 0.5,
        "gravity_ms2": 9.66,
    }
    return [
        script.fell(5_000, place="col2", column="col2", evidence=(still("fall"),), model="falls@1", **measured),
        script.fell(65_000, suspected=True, drop_m=22.0, gravity_ms2=3.1, score=0.6),
        script.fell(90_000, calibrated=False, score=0.8),
        script.fell(150_000, drop_m=2.4, score=0.9),
        script.reported(200_000, "cam1", "facade1"),
    ]


def _smoke_or_heat(script: Script) -> list[Event]:
    """A pan that smokes, heat that rises too fast, and a kitchen that only gets warm."""
    alarm = [script.environment(at * SECOND, alarm=40 <= at <= 100, smoke_pct_m=2.0) for at in range(0, 400, 20)]
    rise = [(0, 24.0), (30, 31.0), (60, 39.0), (90, 47.0), (120, 63.0), (180, 50.0), (400, 40.0)]
    warm = [(0, 24.0), (60, 29.0), (120, 34.0), (180, 39.0), (400, 41.0)]
    return [
        *alarm,
        *(script.environment(at * SECOND, sensor="heat1", temperature_c=value) for at, value in rise),
        *(script.environment(at * SECOND, sensor="heat2", place="room2", temperature_c=value) for at, value in warm),
        script.reported(HOUR, "gate9", "door9"),
    ]


def _indoor_ebike(script: Script) -> list[Event]:
    """An e-bike through lobby and lift, a wheelchair, a glimpse, and one that is parked in the stair."""
    events: list[Event] = [
        script.place("lift1", PlaceUse.LIFT, PlaceKind.LIFT),
        script.place("lobby1", PlaceUse.LOBBY),
        script.place("stair1", PlaceUse.STAIR),
    ]
    stays = [
        (0, 20, "lobby1", ObjectLabel.E_BIKE, 0.8),
        (25, 30, "lift1", ObjectLabel.E_BIKE, 0.7),
        (120, 30, "lift1", ObjectLabel.WHEELCHAIR, 0.9),
        (200, 1, "lift1", ObjectLabel.E_BIKE, 0.3),
        (300, 330, "stair1", ObjectLabel.E_BIKE, 0.9),
    ]
    for number, (from_s, for_s, place, label, score) in enumerate(stays):
        for at in range(0, for_s + 1, max(1, min(2, for_s))):
            phase = TrackPhase.ENTERED if at == 0 else TrackPhase.PRESENT if at < for_s else TrackPhase.LEFT
            more: dict[str, Any] = {"evidence": (still(f"bike{number}"),), "model": "bikes@1"} if at == 0 else {}
            events.append(
                script.object((from_s + at) * SECOND, label, phase, track_id=number, score=score, place=place, **more)
            )
    return [*events, script.reported(HOUR, "gate9", "door9")]


def _stranger_entry(script: Script) -> list[Event]:
    """Residents, a tailgater after a denial, a held door, a party of two and a third, a courier, one who slips in."""
    minutes = [script.reported(at * MINUTE, "gate1") for at in range(31)]
    return [
        script.device("gate1", DeviceClass.GATE, "door1", silent_after_ms=2 * MINUTE),
        script.visitors("v1", party_size=2, from_ms=0, to_ms=2**42),
        *minutes,
        script.access(MINUTE, Credential.FACE, person_ref="p1"),
        script.passage(MINUTE + 2_000, 1),
        script.access(3 * MINUTE - 20_000, Credential.FACE, granted=False, reason="unknown_face"),
        script.access(3 * MINUTE, person_ref="p2"),
        script.passage(3 * MINUTE + 2_000, 2),
        script.passage(3 * MINUTE + 4_000, 3, evidence=(still("tail"),)),
        script.access(6 * MINUTE, person_ref="p3"),
        script.door(6 * MINUTE + 400, DoorState.OPEN),
        script.passage(6 * MINUTE + 2_000, 4),
        script.passage(6 * MINUTE + 25_000, 5),
        script.door(6 * MINUTE + 28_000, DoorState.CLOSED),
        script.access(10 * MINUTE, Credential.QR, registration_id="v1"),
        *(script.passage(10 * MINUTE + at, 10 + at) for at in (2_000, 4_000, 6_000)),
        script.access(15 * MINUTE, Credential.REMOTE),
        script.passage(15 * MINUTE + 9_000, 20),
        script.access(20 * MINUTE, Credential.BUTTON, direction=Direction.OUT),
        script.door(20 * MINUTE + 400, DoorState.OPEN),
        script.passage(20 * MINUTE + 2_000, 21, direction=Direction.OUT),
        script.passage(20 * MINUTE + 3_500, 22),
        script.door(20 * MINUTE + 6_000, DoorState.CLOSED),
    ]


def _indoor_ebike_charging(script: Script) -> list[Event]:
    """An e-bike goes up, a charger's curve follows, smoke near its end; a lamp and a fridge elsewhere are nothing."""
    rng, hours = random.Random("golden"), 10.5
    charging = curves.CHARGERS["lead_acid_60v"](rng, 2.5 * 3600)
    loads = {
        "meter1": ("room1", [charging.load, curves.router(rng, hours)]),
        "meter2": ("room2", [curves.lamp(rng, hours), curves.fridge(rng, hours)]),
    }
    where: dict[str, Any] = {"building": "b1", "unit": "u1"}
    events: list[Event] = [
        script.place("room1", PlaceUse.DWELLING, PlaceKind.ROOM, floor=3, room="r301", **where),
        script.place("room2", PlaceUse.DWELLING, PlaceKind.ROOM, floor=9, room="r901", **where),
        script.place("lift1", PlaceUse.LIFT, PlaceKind.LIFT, **where),
        *(script.device(meter, DeviceClass.METER, room, consented=True) for meter, (room, _) in loads.items()),
        script.object(int(2.3 * HOUR), ObjectLabel.E_BIKE, TrackPhase.ENTERED, score=0.4),
        script.environment(int(5.5 * HOUR), place="room1", alarm=True),
        script.environment(int(5.6 * HOUR), place="room1"),
    ]
    for meter, (room, load) in loads.items():
        for sample in curves.meter(load, rng, hours=hours, every_s=240):
            factor = sample.power_factor
            events.append(
                script.power(int(sample.at_s * SECOND), sample.watts, meter=meter, room=room, power_factor=factor)
            )
    return events


SCENARIOS: dict[str, Callable[[Script], list[Event]]] = {
    "camera_impaired": _camera_impaired,
    "device_silent": _device_silent,
    "high_altitude_throw": _high_altitude_throw,
    "smoke_or_heat": _smoke_or_heat,
    "indoor_ebike": _indoor_ebike,
    "indoor_ebike_charging": _indoor_ebike_charging,
    "stranger_entry": _stranger_entry,
}


def scripted(name: str) -> list[AnyEvent]:
    """The events of a scenario as its script gives them, in order of acceptance."""
    events = sorted(SCENARIOS[name](Script()), key=lambda event: event.at_ms)
    arrived = [msgspec.structs.replace(event, received_ms=event.at_ms + DELAY_MS) for event in events]
    return cast("list[AnyEvent]", arrived)


def write() -> None:
    """Write every scenario and its findings."""
    FOLDER.mkdir(exist_ok=True)
    for name in SCENARIOS:
        events = scripted(name)
        for suffix, rows in ((".jsonl", events), (".findings.jsonl", found_in(events))):
            (FOLDER / f"{name}{suffix}").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


if __name__ == "__main__":
    write()
