"""Cameras that are heard and see nothing: covered, turned away, or without a picture for a while."""

from __future__ import annotations

import random

from contracts.durations import MINUTE_MS
from contracts.events import CameraImpairment, DeviceReported
from contracts.names import DeviceClass
from simulator.community import Device
from simulator.script import Script

IMPAIRED = "camera_impaired"
REASONS = (CameraImpairment.COVERED, CameraImpairment.NO_FRAMES, CameraImpairment.MOVED)
REPORT_MS = 5 * MINUTE_MS
DECISION_MS = 60_000
TRIES = 20


def play_impaired(script: Script) -> None:
    """Play a camera a day that is impaired for a while, and one that is unwell for a reason that it does not name.

    Cameras of doors are left alone: whom they miss would be another story. The calm reports of ``simulator.health``
    keep away from these times.
    """
    rng = script.stream("impaired")
    cameras = [one for one in script.community.of_class(DeviceClass.CAM) if not one.device_id.endswith("-door")]
    for day in range(script.days):
        impaired, unwell = rng.sample(cameras, 2)
        _impaired(script, rng, impaired, day)
        _unwell(script, rng, unwell, day)


def _impaired(script: Script, rng: random.Random, camera: Device, day: int) -> None:
    lasts_ms, reason = rng.randint(20, 50) * MINUTE_MS, rng.choice(REASONS)
    start_ms = _start(script, rng, camera, lasts_ms, day)
    if start_ms is None:
        return
    script.alarming.setdefault(camera.device_id, []).append((start_ms, start_ms + lasts_ms))
    for at_ms in range(start_ms, start_ms + lasts_ms, REPORT_MS):
        report_camera(script, camera, at_ms, reason)
    script.expect(IMPAIRED, camera.device_id, start_ms, start_ms + DECISION_MS, reason.value, place_id=camera.place_id)
    report_camera(script, camera, start_ms + lasts_ms, None)


def _unwell(script: Script, rng: random.Random, camera: Device, day: int) -> None:
    start_ms = _start(script, rng, camera, MINUTE_MS, day)
    if start_ms is not None:
        script.say(DeviceReported(**script.header(camera.device_id, camera.place_id, start_ms), healthy=False))
        script.near_miss(
            IMPAIRED, camera.device_id, start_ms, start_ms + MINUTE_MS, "unhealthy", place_id=camera.place_id
        )


def _start(script: Script, rng: random.Random, camera: Device, lasts_ms: int, day: int) -> int | None:
    """Return a time at which neither the camera nor its box fails otherwise; None when there is none."""
    for _ in range(TRIES):
        start_ms = script.pick_start(rng, lasts_ms, day=day)
        if script.healthy(camera.device_id, start_ms - MINUTE_MS, start_ms + lasts_ms + MINUTE_MS):
            return start_ms
    return None


def report_camera(script: Script, camera: Device, at_ms: int, reason: CameraImpairment | None) -> None:
    """Let a camera report that it is well, or why it is not."""
    head = script.header(camera.device_id, camera.place_id, at_ms)
    script.say(DeviceReported(**head, healthy=reason is None, impaired_by=reason))
