"""E-bike chargers as a meter sees them: bulk plateau, second stage, float or nothing.

Source: docs/standards.md#charger-signature. Powers are at the mains; a charger without power factor
correction shows 0.5–0.65.
"""

from __future__ import annotations

import enum
import random

import msgspec

from contracts.durations import HOUR_MS, MINUTE_MS
from simulator.loads import Load, LoadSpan, flat


class Pack(enum.Enum):
    """The packs that people carry upstairs."""

    LEAD_36 = "lead_acid_36v"
    LEAD_48 = "lead_acid_48v"
    LEAD_60 = "lead_acid_60v"
    LEAD_72 = "lead_acid_72v"
    LITHIUM = "lithium"


class ChargerRanges(msgspec.Struct, frozen=True):
    """Ranges of one kind of charger: bulk power in watts, bulk time in hours."""

    bulk_w: tuple[float, float]
    bulk_h: tuple[float, float]


SHAPES: dict[Pack, ChargerRanges] = {
    Pack.LEAD_36: ChargerRanges((84, 94), (4.0, 6.0)),  # 1.8 A; a laptop's height, so only the whole curve tells
    Pack.LEAD_48: ChargerRanges((112, 175), (3.5, 6.0)),
    Pack.LEAD_60: ChargerRanges((170, 245), (3.5, 6.0)),
    Pack.LEAD_72: ChargerRanges((225, 385), (4.0, 6.0)),
    Pack.LITHIUM: ChargerRanges((140, 210), (2.5, 4.0)),
}
NOISE = 0.008


class SimulatedCharge(msgspec.Struct, frozen=True):
    """One charge: its load, when the plug goes in, when the bulk plateau ends and when the plug is pulled."""

    pack: Pack
    plug_ms: int
    bulk_end_ms: int
    unplug_ms: int


def draw_charge(rng: random.Random, pack: Pack, plug_ms: int) -> SimulatedCharge:
    """Return a full charge with times drawn from ``pack``'s ranges."""
    bulk_ms = int(rng.uniform(*SHAPES[pack].bulk_h) * HOUR_MS)
    rest_ms = rng.randint(70, 130) * MINUTE_MS
    return SimulatedCharge(pack, plug_ms, plug_ms + bulk_ms, plug_ms + bulk_ms + rest_ms)


def charger_load(rng: random.Random, charge: SimulatedCharge) -> Load:
    """Return the load of ``charge``: what the meter sees of it."""
    bulk_w = rng.uniform(*SHAPES[charge.pack].bulk_w)
    inrush = flat(charge.plug_ms, charge.plug_ms + 2_000, bulk_w * 1.3)
    # Constant current into a rising voltage: the plateau climbs a little over the hours.
    bulk = LoadSpan(inrush.to_ms, charge.bulk_end_ms, bulk_w, bulk_w * rng.uniform(1.02, 1.09))
    tail = _lithium_tail if charge.pack is Pack.LITHIUM else _lead_tail
    spans = [inrush, bulk, *tail(rng, charge, bulk.end_w)]
    return Load(charge.pack.value, rng.uniform(0.52, 0.64), NOISE, spans)


def _lead_tail(rng: random.Random, charge: SimulatedCharge, bulk_w: float) -> list[LoadSpan]:
    """Return a tail that sinks to a quarter, then floats at about 10 W until the plug is pulled."""
    float_ms = charge.bulk_end_ms + (charge.unplug_ms - charge.bulk_end_ms) * 2 // 3
    taper = LoadSpan(charge.bulk_end_ms, float_ms, bulk_w, bulk_w * rng.uniform(0.2, 0.3), tau_ms=16 * MINUTE_MS)
    return [taper, flat(float_ms, charge.unplug_ms, rng.uniform(7, 12))]


def _lithium_tail(rng: random.Random, charge: SimulatedCharge, bulk_w: float) -> list[LoadSpan]:
    """Return a tail at constant voltage: the current dies away, then the battery's own electronics cut it off."""
    cut_ms = charge.bulk_end_ms + rng.randint(35, 55) * MINUTE_MS
    return [
        LoadSpan(charge.bulk_end_ms, cut_ms, bulk_w, 4.0, tau_ms=15 * MINUTE_MS),
        flat(cut_ms, charge.unplug_ms, rng.uniform(0.3, 1.2)),
    ]
