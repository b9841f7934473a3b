"""One community alive at the pace of the clock: endless streams of its devices, merged in order of time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator

from contracts.durations import DAY_MS, MINUTE_MS
from contracts.events import AnyEvent, CameraImpairment
from contracts.names import DeviceClass
from simulator.community import Community, Device, Unit
from simulator.demo_community import HEARTBEAT_MS
from simulator.doors import Door
from simulator.health import device_state, heartbeat
from simulator.impaired import report_camera
from simulator.loads import Load
from simulator.meters import sampled
from simulator.script import Script
from simulator.sensors import ALARM_MS, READING_MS, alarm_at
from simulator.street import play_scene, resident

SAMPLE_MS = 5_000
FIRST_STRANGER_MS = 8_000
RISE_STEPS = 2
"""Smoke rises from the start; the alarm itself comes so many readings later, at the community's first sensor."""
SMOKE_PAUSE_MS = 6 * MINUTE_MS
FAILING_METER = 1
FIRST_FAILURE_MS = 12_000
FAILURE_MS = 3 * MINUTE_MS
FAILURE_PAUSE_MS = 20 * MINUTE_MS
COVERED_EVERY = 6
"""Of so many reports of the covered camera the first says that it sees nothing, the others that it is well again."""
SCENE_PAUSE_MS = (30_000, 75_000)
STRANGER_SHARE = 0.03
ENDLESS_MS = 3_650 * DAY_MS


class LiveSite:
    """One community's endless life from ``start_ms``. ``muted`` devices say nothing."""

    def __init__(
        self, seed: str, community: Community, start_ms: int, loads: dict[str, list[Load]], muted: frozenset[str]
    ) -> None:
        self._community = community
        self._start_ms = start_ms
        self._loads = loads
        self._muted = muted
        self._seed = seed

    def life(self) -> Iterator[AnyEvent]:
        """Yield its events by ``at_ms``, still without names."""
        sensors = [d for d in self._community.of_class(DeviceClass.SENSOR) if d.device_id not in self._muted]
        streams: list[Iterator[AnyEvent]] = [self._smoke(sensors)]
        streams += [self._doors(unit, number) for number, unit in enumerate(self._community.units)]
        meters = self._community.of_class(DeviceClass.METER)
        failing = meters[FAILING_METER]
        streams += [self._meter(meter, self._start_ms) for meter in meters if meter is not failing]
        streams.append(self._failing(failing))
        covered = self._covered_camera()
        streams += [] if covered is None else [self._covered(covered)]
        streams += [
            self._alive(device)
            for device in self._community.devices
            if device.heartbeat_ms and device.device_id not in self._muted and device not in (*sensors, covered)
        ]
        return heapq.merge(*streams, key=lambda event: event.at_ms)

    def _script(self, part: str) -> tuple[Script, random.Random]:
        script = Script(
            f"{self._seed}/{part}", self._community, self._start_ms, ENDLESS_MS + self._start_ms, ENDLESS_MS, ()
        )
        return script, script.stream(str(self._start_ms))

    def _doors(self, unit: Unit, number: int) -> Iterator[AnyEvent]:
        script, rng = self._script(f"{unit.unit_id}/door")
        door = Door(script, rng, unit)
        at_ms = self._start_ms + rng.randint(*SCENE_PAUSE_MS)
        if number == 1:  # somebody who should not, while people are still looking
            door.tailgate(self._start_ms + FIRST_STRANGER_MS, resident(rng, unit))
            yield from _due(script, ENDLESS_MS + self._start_ms)
        while True:
            play_scene(rng, door, at_ms, STRANGER_SHARE)
            yield from _due(script, ENDLESS_MS + self._start_ms)
            at_ms += rng.randint(*SCENE_PAUSE_MS)

    def _meter(self, meter: Device, from_ms: int) -> Iterator[AnyEvent]:
        rng = random.Random(f"{self._seed}/{self._community.site_id}/{meter.device_id}/{from_ms}")
        at_ms = from_ms + rng.randrange(SAMPLE_MS)
        while True:
            yield sampled(self._community.site_id, meter, self._loads[meter.device_id], at_ms, rng)
            at_ms += SAMPLE_MS

    def _failing(self, meter: Device) -> Iterator[AnyEvent]:
        """Yield a meter that loses its network soon, as the broker says at once, and now and then again."""
        from_ms = self._start_ms
        goes_ms = from_ms + FIRST_FAILURE_MS
        while True:
            yield from _until(self._meter(meter, from_ms), goes_ms)
            from_ms = goes_ms + FAILURE_MS
            yield device_state(self._community.site_id, meter, goes_ms, online=False)
            yield device_state(self._community.site_id, meter, from_ms, online=True)
            goes_ms = from_ms + FAILURE_PAUSE_MS

    def _alive(self, device: Device) -> Iterator[AnyEvent]:
        script, rng = self._script(f"{device.device_id}/health")
        at_ms = self._start_ms + rng.randrange(device.heartbeat_ms)
        while True:
            heartbeat(script, device, at_ms, rng)
            yield from _due(script, ENDLESS_MS + self._start_ms)
            at_ms += device.heartbeat_ms

    def _covered_camera(self) -> Device | None:
        """Return the camera that is covered now and then: whom one at a door missed would be another story."""
        cameras = (d for d in self._community.of_class(DeviceClass.CAM) if d.device_id not in self._muted)
        return next((camera for camera in cameras if not camera.device_id.endswith("-door")), None)

    def _covered(self, camera: Device) -> Iterator[AnyEvent]:
        """Yield a camera whose lens somebody covers soon, uncovers before its next report, and now and then again."""
        script, _ = self._script(f"{camera.device_id}/covered")
        for number in itertools.count():
            at_ms = self._start_ms + FIRST_STRANGER_MS + number * (camera.heartbeat_ms or HEARTBEAT_MS)
            report_camera(script, camera, at_ms, None if number % COVERED_EVERY else CameraImpairment.COVERED)
            yield from _due(script, at_ms)

    def _smoke(self, sensors: list[Device]) -> Iterator[AnyEvent]:
        """Yield all sensors: calm heartbeats, and in turn one that alarms."""
        script, rng = self._script("smoke")
        next_alarm_ms = self._start_ms
        alarming, calm_ms = "", 0
        for at_ms, sensor in _in_turn(sensors, self._start_ms):
            if at_ms >= next_alarm_ms:
                alarm_ms = at_ms + RISE_STEPS * READING_MS + 1
                alarm_at(script, rng, sensor, alarm_ms, rise_steps=RISE_STEPS)
                alarming, calm_ms = sensor.device_id, alarm_ms + ALARM_MS
                next_alarm_ms = calm_ms + SMOKE_PAUSE_MS
            elif sensor.device_id != alarming or at_ms > calm_ms:
                heartbeat(script, sensor, at_ms, rng)
            yield from _due(script, at_ms)


def _in_turn(sensors: list[Device], start_ms: int) -> Iterator[tuple[int, Device]]:
    """Yield (moment, sensor): every sensor once in each heartbeat, evenly spread, without end."""
    pause_ms = HEARTBEAT_MS / len(sensors)
    for number in itertools.count():
        yield start_ms + int(number * pause_ms), sensors[number % len(sensors)]


def _until(stream: Iterator[AnyEvent], until_ms: int) -> Iterator[AnyEvent]:
    return itertools.takewhile(lambda event: event.at_ms < until_ms, stream)


def _due(script: Script, at_ms: int) -> list[AnyEvent]:
    """Take what has happened up to ``at_ms`` out of ``script``, in order of time."""
    due = sorted((event for event in script.events if event.at_ms <= at_ms), key=lambda event: event.at_ms)
    script.events = [event for event in script.events if event.at_ms > at_ms]
    script.truths.clear()
    return due
