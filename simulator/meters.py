"""Meters: which loads hang on which circuit, and what each meter reports of them."""

from __future__ import annotations

import math
import random

from contracts.durations import MINUTE_MS
from contracts.events import PowerSampled, event_header
from contracts.names import DeviceClass
from simulator import appliances
from simulator.chargers import Pack, SimulatedCharge, charger_load, draw_charge
from simulator.community import SHED_METER_ID, Device
from simulator.loads import Load, flat
from simulator.script import Script

CHARGING = "indoor_ebike_charging"

SAMPLE_MS = 30_000
REPORT_CHANGE_W = 5.0
REPORT_CHANGE_RATIO = 0.04
REPORT_IDLE_MS = 5 * MINUTE_MS
REPORT_BUSY_MS = MINUTE_MS
BUSY_W = 60.0

EVENING = (18.0, 30.0)
SETTLE_MS = 20 * MINUTE_MS
"""After the plug is pulled a rule may still need this long to say that the charge is over."""


def play_meters(script: Script) -> None:
    """Play all readings of all meters in the script's time, with the charges and look-alikes on them."""
    rooms = [m for m in script.community.of_class(DeviceClass.METER) if m.consented]
    charging = script.stream("charges")
    for number, meter in enumerate(rooms):
        rng = script.stream(f"{meter.device_id}/loads")
        loads = [appliances.standby(rng, script.from_ms, script.quiet_to_ms)]
        if number < len(rooms) // 3:
            loads += _charging_room(script, charging, rng, meter, number)
        else:
            loads += _ordinary_room(script, rng, meter, number)
        report(script, meter, loads)
    for meter in script.community.of_class(DeviceClass.METER):
        if not meter.consented:
            report(script, meter, _common_circuit(script, meter))


def _charging_room(
    script: Script, charging: random.Random, rng: random.Random, meter: Device, number: int
) -> list[Load]:
    """Return the loads where an e-bike is charged; every other room has a kettle and a rice cooker too, or a fridge."""
    loads = [charge_at(script, charging, meter, day, expected=True) for day in range(script.days)]
    if number % 2:
        shared = rng.choice(((appliances.kettle, appliances.rice_cooker), (appliances.fridge, appliances.kettle)))
        loads += [make(rng, script.from_ms, script.quiet_to_ms) for make in shared]
    return loads


def _ordinary_room(script: Script, rng: random.Random, meter: Device, number: int) -> list[Load]:
    """Return one or two look-alikes, in turn, so that every community has most of them; most rooms have a fridge."""
    kinds = appliances.LOOK_ALIKES
    turn = rng.randrange(len(kinds))
    chosen = [kinds[turn], kinds[(turn + 3) % len(kinds)]]
    loads = [make(rng, script.from_ms, script.to_ms) for make in chosen]
    if number % 2:
        loads.append(appliances.fridge(rng, script.from_ms, script.quiet_to_ms))
    if rng.random() < 0.25:
        loads.append(_short_charge(script, rng))
    for load in loads:
        if load.spans:
            first, last = load.spans[0].from_ms, load.spans[-1].to_ms
            script.near_miss(CHARGING, meter.place_id, first, last, load.name)
    return loads


def charge_at(script: Script, rng: random.Random, meter: Device, day: int, *, expected: bool) -> Load:
    """Return the ``day``'s full charge on ``meter`` at an hour when people charge, if the script's time allows."""
    charge = draw_charge(rng, rng.choice(list(Pack)), 0)
    start = script.pick_start(rng, charge.unplug_ms + SETTLE_MS, EVENING, day)
    charge = SimulatedCharge(charge.pack, start, start + charge.bulk_end_ms, start + charge.unplug_ms)
    told = script.expect if expected else script.near_miss
    told(CHARGING, meter.place_id, charge.plug_ms, charge.unplug_ms + SETTLE_MS, charge.pack.value)
    return charger_load(rng, charge)


def _short_charge(script: Script, rng: random.Random) -> Load:
    """Return a tool's battery: twenty minutes at a charger's power, then nothing."""
    start = script.pick_start(rng, 20 * MINUTE_MS)
    return Load("power_tool", 0.6, 0.01, [flat(start, start + 20 * MINUTE_MS, rng.uniform(90, 160))])


def _common_circuit(script: Script, meter: Device) -> list[Load]:
    rng = script.stream(f"{meter.device_id}/loads")
    loads = [appliances.standby(rng, script.from_ms, script.quiet_to_ms)]
    if meter.device_id == SHED_METER_ID:
        return [*loads, *(charge_at(script, rng, meter, day, expected=False) for day in range(script.days))]
    return [*loads, appliances.stair_light(rng, script.from_ms, script.to_ms)]


# --- readings ---------------------------------------------------------------------------------------------------------


def report(script: Script, meter: Device, loads: list[Load]) -> None:
    """Say a reading on every change that matters, each minute under load, else every five minutes.

    The last reading falls on the script's end, so that the file's time runs to it.
    """
    rng = script.stream(f"{meter.device_id}/noise")
    reported_w, reported_ms = -1_000.0, 0
    phase = rng.randrange(SAMPLE_MS)
    for at_ms in range(script.from_ms + phase, script.quiet_to_ms, SAMPLE_MS):
        sample = sampled(script.site_id, meter, loads, at_ms, rng)
        changed = abs(sample.power_w - reported_w) >= max(REPORT_CHANGE_W, REPORT_CHANGE_RATIO * abs(reported_w))
        pause_ms = REPORT_BUSY_MS if sample.power_w >= BUSY_W else REPORT_IDLE_MS
        if changed or at_ms - reported_ms >= pause_ms:
            script.say(sample)
            reported_w, reported_ms = sample.power_w, at_ms


def sampled(site_id: str, meter: Device, loads: list[Load], at_ms: int, rng: random.Random) -> PowerSampled:
    """Return what ``meter`` reads at ``at_ms``: powers and reactive powers add, the factor follows."""
    real = reactive = 0.0
    for load in loads:
        watts = load.power_w(at_ms)
        if watts:
            watts *= rng.gauss(1.0, load.noise)
            real += watts
            reactive += watts * load.reactive_ratio
    apparent = math.hypot(real, reactive)
    volts = rng.gauss(229.0, 1.2)
    return PowerSampled(
        **event_header(site_id, meter.device_id, meter.place_id, at_ms),
        power_w=round(real, 1),
        voltage_v=round(volts, 1),
        current_a=round(apparent / volts, 3),
        power_factor=round(real / apparent, 2) if apparent > 0 else None,
    )
