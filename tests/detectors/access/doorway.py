"""One door with a gate and two cameras as a script of events, and who was found a stranger at it."""

from __future__ import annotations

from contracts.events import Event
from contracts.names import DeviceClass
from detectors.access.stranger_entry import StrangerEntry
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script
from tests.detectors.harness import Decided, run


def site(script: Script) -> list[Event]:
    return [
        script.device("gate1", DeviceClass.GATE, "door1", silent_after_ms=2 * MINUTE),
        script.device("cam1", DeviceClass.CAM, "door1"),
        script.device("cam2", DeviceClass.CAM, "door1"),
    ]


def judge(script: Script, *events: Event, alive: bool = True) -> list[Decided]:
    beats = [script.reported(at * MINUTE, "gate1") for at in range(60)] if alive else []
    return run(StrangerEntry(), [*site(script), *beats, *events], T0 + HOUR)


def at(second: float) -> int:
    return 10 * MINUTE + int(second * SECOND)


def strangers(found: list[Decided]) -> list[tuple[float, str]]:
    return [((d.draft.episode.onset_ms - T0 - 10 * MINUTE) / 1000, d.fact("manner")) for d in found]
