"""What cameras see besides passages: e-bikes and their look-alikes in lifts and lobbies, and things that fall."""

from __future__ import annotations

import math
import random

from contracts.events import ObjectFell, ObjectLabel, ObjectObserved, TrackPhase
from simulator.community import Building, Unit
from simulator.script import Script

EBIKE = "indoor_ebike"
THROW = "high_altitude_throw"

LOOK_ALIKES = (ObjectLabel.BICYCLE, ObjectLabel.PRAM, ObjectLabel.WHEELCHAIR, ObjectLabel.TOY_VEHICLE)
STOREY_M = 2.9
GRAVITY_MS2 = 9.81


def play_unit_cameras(script: Script, unit: Unit) -> None:
    """Play a day's e-bikes, bicycles, prams and wheelchairs in the lift and lobby of ``unit``."""
    rng = script.stream(f"{unit.unit_id}/objects")
    for _ in script.local_days():
        if rng.random() < 0.5:
            _ride(script, rng, unit)
        for label in rng.sample(LOOK_ALIKES, 2):
            _look_alike(script, rng, unit, label)
        if rng.random() < 0.5:
            _glimpse(script, rng, unit)


def play_building_cameras(script: Script, building: Building) -> None:
    """Play a day's falls past the facade of ``building``: calibrated ones, suspected ones, and a bird."""
    rng = script.stream(f"{building.building_id}/falls")
    for _ in script.local_days():
        _fall(script, rng, building, calibrated=True)
        if rng.random() < 0.4:
            _fall(script, rng, building, calibrated=False)
        if rng.random() < 0.5:
            _suspected(script, rng, building)
    for fault in script.faults:
        if fault.device_id == building.box_id:
            _fall(script, rng, building, calibrated=True, at_ms=(fault.from_ms + fault.to_ms) // 2)


# --- lifts and lobbies ------------------------------------------------------------------------------------------------


def _ride(script: Script, rng: random.Random, unit: Unit) -> None:
    """Play someone who pushes an e-bike through the lobby and rides up with it in the lift."""
    start = _free_start(script, rng, unit, 5 * 60_000)
    if start is None:
        return
    in_lobby_ms = rng.randint(12_000, 40_000)
    lift_ms = start + in_lobby_ms + rng.randint(4_000, 15_000)
    in_lift_ms = rng.randint(18_000, 45_000)
    track(script, rng, unit.camera_id("lobby"), unit.lobby_id, ObjectLabel.E_BIKE, start, in_lobby_ms)
    track(script, rng, unit.camera_id("lift"), unit.lift_id, ObjectLabel.E_BIKE, lift_ms, in_lift_ms)
    script.expect(EBIKE, unit.lobby_id, start, start + in_lobby_ms + 30_000, "lobby")
    script.expect(EBIKE, unit.lift_id, lift_ms, lift_ms + in_lift_ms + 30_000, "lift")


def _look_alike(script: Script, rng: random.Random, unit: Unit, label: ObjectLabel) -> None:
    start = _free_start(script, rng, unit, 2 * 60_000)
    if start is not None:
        stay_ms = rng.randint(10_000, 40_000)
        track(script, rng, unit.camera_id("lift"), unit.lift_id, label, start, stay_ms)
        script.near_miss(EBIKE, unit.lift_id, start, start + stay_ms, label.value)


def _glimpse(script: Script, rng: random.Random, unit: Unit) -> None:
    """Play a detector's single wrong frame: an e-bike of low score that is gone at once."""
    start = _free_start(script, rng, unit, 60_000)
    if start is None:
        return
    camera, number = unit.camera_id("lift"), rng.randint(5_000, 9_000)
    say_object(script, camera, unit.lift_id, ObjectLabel.E_BIKE, TrackPhase.ENTERED, number, 0.31, start, 0)
    say_object(script, camera, unit.lift_id, ObjectLabel.E_BIKE, TrackPhase.LEFT, number, 0.29, start + 200, 200)
    script.near_miss(EBIKE, unit.lift_id, start, start + 1_000, "single_frame")


def _free_start(script: Script, rng: random.Random, unit: Unit, needs_ms: int) -> int | None:
    """Draw a start when people are about and the cameras' box has its network; None if none is found."""
    for _ in range(8):
        start = script.pick_start(rng, needs_ms, (7, 23))
        if all(script.healthy(unit.camera_id(where), start, start + needs_ms) for where in ("lobby", "lift")):
            return start
    return None


def track(
    script: Script,
    rng: random.Random,
    camera_id: str,
    place_id: str,
    label: ObjectLabel,
    from_ms: int,
    stay_ms: int,
) -> None:
    """Play a tracked object: entered, about every second present, left."""
    number = rng.randint(10_000, 1_000_000)
    score = rng.uniform(0.62, 0.94)
    phases = [(0, TrackPhase.ENTERED)]
    phases += [(dwell, TrackPhase.PRESENT) for dwell in range(1_000, stay_ms - 500, 1_000)]
    phases.append((stay_ms, TrackPhase.LEFT))
    for dwell, phase in phases:
        seen = round(min(0.99, max(0.5, score + rng.gauss(0, 0.03))), 2)
        say_object(script, camera_id, place_id, label, phase, number, seen, from_ms + dwell, dwell)


def say_object(
    script: Script,
    camera_id: str,
    place_id: str,
    label: ObjectLabel,
    phase: TrackPhase,
    track_id: int,
    score: float,
    at_ms: int,
    dwell_ms: int,
) -> None:
    """Say one observation of one object."""
    script.say(
        ObjectObserved(
            **script.header(camera_id, place_id, at_ms),
            label=label,
            phase=phase,
            track_id=track_id,
            score=score,
            dwell_ms=dwell_ms,
        )
    )


# --- facades ----------------------------------------------------------------------------------------------------------


def _fall(
    script: Script, rng: random.Random, building: Building, *, calibrated: bool, at_ms: int | None = None
) -> None:
    """Play an object thrown from a floor well above two storeys. An outage of the box only delays the news."""
    at_ms = at_ms or script.pick_start(rng, 60_000, (7, 24))
    floor = rng.randint(4, building.floors)
    column = building.column_id(rng.randint(1, building.columns))
    drop_m = (floor - 1) * STOREY_M
    duration_ms = int(math.sqrt(2 * drop_m / GRAVITY_MS2) * 1_000)
    script.say(
        ObjectFell(
            **script.header(building.facade_camera_id, column if calibrated else building.facade_id, at_ms),
            track_id=rng.randint(1, 100_000),
            started_ms=at_ms - duration_ms,
            duration_ms=duration_ms,
            calibrated=calibrated,
            drop_m=round(drop_m, 1) if calibrated else None,
            drop_error_m=round(drop_m * 0.06, 1) if calibrated else None,
            floor=round(floor + rng.gauss(0, 0.3), 1) if calibrated else None,
            floor_error=0.8 if calibrated else None,
            column=column if calibrated else None,
            gravity_ms2=round(rng.gauss(GRAVITY_MS2, 0.4), 2),
            fit_error_px=round(rng.uniform(0.6, 2.4), 2),
            size_px=round(rng.uniform(3, 14), 1),
            score=round(rng.uniform(0.75, 0.98), 2),
        )
    )
    subject = column if calibrated else building.facade_id
    script.expect(THROW, subject, at_ms - duration_ms, at_ms + 30_000, "calibrated" if calibrated else "uncalibrated")


def _suspected(script: Script, rng: random.Random, building: Building) -> None:
    """Play a track that goes far down but fails gravity: a cloth, or a bird."""
    at_ms = script.pick_start(rng, 60_000, (7, 20))
    column = building.column_id(rng.randint(1, building.columns))
    script.say(
        ObjectFell(
            **script.header(building.facade_camera_id, column, at_ms),
            track_id=rng.randint(1, 100_000),
            started_ms=at_ms - 4_200,
            duration_ms=4_200,
            calibrated=True,
            suspected=True,
            drop_m=round(rng.uniform(9, 20), 1),
            drop_error_m=1.5,
            column=column,
            gravity_ms2=round(rng.uniform(1.5, 4.0), 2),
            fit_error_px=round(rng.uniform(3, 7), 2),
            size_px=round(rng.uniform(5, 20), 1),
            score=round(rng.uniform(0.4, 0.6), 2),
        )
    )
    script.expect(THROW, column, at_ms - 4_200, at_ms + 30_000, "suspected")
