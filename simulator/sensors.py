"""Smoke and heat sensors: their hourly life, kitchens that only smell, and fires."""

from __future__ import annotations

import random

from contracts.durations import MINUTE_MS
from contracts.events import EnvironmentSampled
from contracts.names import DeviceClass
from simulator.community import Device
from simulator.script import Script

SMOKE = "smoke_or_heat"
ALARM_MS = 3 * MINUTE_MS
READING_MS = 10_000


def play_sensors(script: Script) -> None:
    """Play a day's smoke of one community: one or two alarms, and cooking that must stay below."""
    rng = script.stream("smoke")
    sensors = script.community.of_class(DeviceClass.SENSOR)
    for _ in script.local_days():
        for sensor in rng.sample(sensors, rng.choice((1, 1, 2))):
            _alarm(script, rng, sensor)
        for sensor in rng.sample(sensors, 2):
            _cooking(script, rng, sensor)


def _alarm(script: Script, rng: random.Random, sensor: Device) -> None:
    """Play an alarm: smoke rises for a minute, the sensor alarms for three, then it clears."""
    start = _healthy_start(script, rng, sensor)
    if start is not None:
        alarm_at(script, rng, sensor, start)


def alarm_at(script: Script, rng: random.Random, sensor: Device, start: int, *, rise_steps: int = 6) -> None:
    """Play the alarm itself, from ``start``; ``rise_steps`` readings before it show smoke rising."""
    script.alarming.setdefault(sensor.device_id, []).append((start - MINUTE_MS, start + ALARM_MS))
    for step in range(rise_steps):
        rising_ms = start - (rise_steps - step) * READING_MS
        say_air(script, sensor, rising_ms, smoke=0.9 + 0.5 * step, temperature=26.0)
    for at_ms in range(start, start + ALARM_MS, READING_MS):
        smoke = round(rng.uniform(9, 22), 1)
        say_air(script, sensor, at_ms, smoke=smoke, temperature=round(rng.uniform(34, 52), 1), alarm=True)
    say_air(script, sensor, start + ALARM_MS, smoke=0.6, temperature=29.0)
    script.expect(SMOKE, sensor.place_id, start, start + 30_000, "smoke")


def _cooking(script: Script, rng: random.Random, sensor: Device) -> None:
    """Play haze and warmth below the sensor's own limit."""
    start = _healthy_start(script, rng, sensor)
    if start is None:
        return
    for at_ms in range(start, start + 2 * MINUTE_MS, 3 * READING_MS):
        say_air(script, sensor, at_ms, smoke=round(rng.uniform(1.2, 3.2), 1), temperature=round(rng.uniform(28, 39), 1))
    script.near_miss(SMOKE, sensor.place_id, start, start + 2 * MINUTE_MS, "cooking")


def _healthy_start(script: Script, rng: random.Random, sensor: Device) -> int | None:
    for _ in range(8):
        start = script.pick_start(rng, 10 * MINUTE_MS) + MINUTE_MS
        if script.healthy(sensor.device_id, start - MINUTE_MS, start + ALARM_MS):
            return start
    return None


def say_air(
    script: Script, sensor: Device, at_ms: int, *, smoke: float, temperature: float, alarm: bool = False
) -> None:
    """Say one report of a sensor: smoke in % per metre, temperature in °C, and its own judgement."""
    script.say(
        EnvironmentSampled(
            **script.header(sensor.device_id, sensor.place_id, at_ms),
            alarm=alarm,
            smoke_pct_m=smoke,
            temperature_c=temperature,
        )
    )
