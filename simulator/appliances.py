"""What else hangs on a flat's circuit, and what of it a careless rule takes for a charger.

Each function gives one appliance's load over ``from_ms…to_ms`` (a whole script). Powers in watts are typical nameplate
and plug-meter figures; cycling times follow the list of look-alikes in
docs/standards.md#charger-signature.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from contracts.durations import DAY_MS, HOUR_MS, MINUTE_MS
from simulator.community import TIME_ZONE_OFFSET_MS
from simulator.loads import Load, LoadSpan, flat

Make = Callable[[random.Random, int, int], Load]


def standby(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Draw router and clocks: a few watts, always."""
    return Load("standby", 0.6, 0.02, [flat(from_ms, to_ms, rng.uniform(4, 14))])


def fridge(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Draw compressor cycles of 15–28 minutes with pauses of 20–40, and a short surge at each start."""
    watts, spans, at_ms = rng.uniform(75, 125), [], from_ms - rng.randint(0, 40) * MINUTE_MS
    while at_ms < to_ms:
        stop_ms = at_ms + int(rng.uniform(15, 28) * MINUTE_MS)
        spans.append(flat(at_ms, at_ms + 1_000, watts * 3))
        spans.append(LoadSpan(at_ms + 1_000, stop_ms, watts * 1.12, watts * 0.94))
        at_ms = stop_ms + int(rng.uniform(20, 40) * MINUTE_MS)
    return Load("fridge", 0.72, 0.02, spans)


def kettle(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Draw three to six boils a day of two to five minutes."""
    watts = rng.uniform(1_400, 1_900)
    starts = _daily(rng, from_ms, to_ms, rng.randint(3, 6), (6.5, 22.5))
    return Load("kettle", 1.0, 0.005, _separate([(s, s + int(rng.uniform(2, 5) * MINUTE_MS)) for s in starts], watts))


def rice_cooker(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Draw a cooker at full power for 20–30 minutes, then warm in pulses for one to two hours."""
    cook_w, warm_w, spans = rng.uniform(450, 750), rng.uniform(55, 110), []
    for start in _daily(rng, from_ms, to_ms, 1, (10.5, 11.5)) + _daily(rng, from_ms, to_ms, 1, (17.0, 18.0)):
        cooked = start + rng.randint(20, 30) * MINUTE_MS
        spans.append(flat(start, cooked, cook_w))
        spans += _pulses(cooked + 2 * MINUTE_MS, cooked + rng.randint(60, 120) * MINUTE_MS, 25_000, 95_000, warm_w)
    return Load("rice_cooker", 1.0, 0.008, _ordered(spans))


def heater(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Return a small heater on its thermostat: minutes on, minutes off, all evening."""
    watts, spans = rng.choice((380.0, 800.0, 1_200.0)), []
    for start in _daily(rng, from_ms, to_ms, 1, (19.0, 20.0)):
        spans += _pulses(
            start, start + 3 * HOUR_MS, rng.randint(7, 11) * MINUTE_MS, rng.randint(3, 6) * MINUTE_MS, watts
        )
    return Load("heater", 1.0, 0.006, _ordered(spans))


def air_conditioner(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Return an inverter that steps between 250 and 800 W every few minutes as the room drifts."""
    spans: list[LoadSpan] = []
    for start in _daily(rng, from_ms, to_ms, 1, (20.0, 22.0)):
        at_ms, watts = start, rng.uniform(600, 850)
        end_ms = start + rng.randint(3, 8) * HOUR_MS
        while at_ms < end_ms:
            next_ms = at_ms + rng.randint(4, 11) * MINUTE_MS
            following = min(850.0, max(240.0, watts * rng.choice((0.72, 0.82, 0.9, 1.12, 1.25))))
            spans.append(LoadSpan(at_ms, next_ms, watts, (watts + following) / 2))
            at_ms, watts = next_ms, following
    return Load("air_conditioner", 0.93, 0.03, _ordered(spans))


def laptop(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Return a laptop's charger: a charger's shape and power factor, but at 45–75 W."""
    spans: list[LoadSpan] = []
    for start in _daily(rng, from_ms, to_ms, 1, (20.0, 22.0)):
        full_ms = start + rng.randint(50, 80) * MINUTE_MS
        watts = rng.uniform(45, 75)
        spans.append(flat(start, full_ms, watts))
        spans.append(LoadSpan(full_ms, full_ms + 60 * MINUTE_MS, watts, 8.0, tau_ms=15 * MINUTE_MS))
    return Load("laptop", 0.55, 0.03, _ordered(spans))


def lamp(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Draw halogen light, five flat hours of 100–160 W that end at once: a plateau, but of a pure resistor."""
    watts = rng.uniform(100, 160)
    starts = _daily(rng, from_ms, to_ms, 1, (17.5, 18.5))
    return Load("lamp", 0.99, 0.003, _separate([(s, s + int(rng.uniform(4, 5.5) * HOUR_MS)) for s in starts], watts))


def computer(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Return a gaming computer with its screen: 90–280 W, never the same for long.

    Supplies of this size must be corrected (GB 17625.1): a power factor of 0.75 with a choke, 0.95 with electronics.
    """
    spans: list[LoadSpan] = []
    for start in _daily(rng, from_ms, to_ms, 1, (19.0, 20.5)):
        at_ms, end_ms = start, start + rng.randint(2, 4) * HOUR_MS
        while at_ms < end_ms:
            watts, scene_ms = rng.choice(((90, 4), (130, 6), (210, 25), (280, 25)))  # desktop, film, two games
            for _ in range(rng.randint(1, scene_ms)):
                spans.append(flat(at_ms, at_ms + MINUTE_MS, watts * rng.uniform(0.85, 1.15)))
                at_ms += MINUTE_MS
    return Load("computer", rng.choice((0.75, 0.95)), 0.05, _ordered(spans))


LOOK_ALIKES: tuple[Make, ...] = (kettle, rice_cooker, heater, air_conditioner, laptop, lamp, computer)


def stair_light(rng: random.Random, from_ms: int, to_ms: int) -> Load:
    """Return a building's landlord circuit: stair light by night, a pump every quarter of an hour."""
    watts, spans = rng.uniform(30, 55), []
    for start in _daily(rng, from_ms, to_ms, 1, (18.0, 18.3)):
        spans.append(flat(start, start + 12 * HOUR_MS, watts))
    return Load("stair_light", 0.9, 0.01, _ordered(spans))


# --- building blocks --------------------------------------------------------------------------------------------------


def _daily(rng: random.Random, from_ms: int, to_ms: int, count: int, hours: tuple[float, float]) -> list[int]:
    """Return ``count`` moments a local day within ``hours``, in order, that lie in the script's time."""
    midnight = (from_ms + TIME_ZONE_OFFSET_MS) // DAY_MS * DAY_MS - TIME_ZONE_OFFSET_MS
    moments = []
    while midnight < to_ms:
        moments += sorted(midnight + int(rng.uniform(*hours) * HOUR_MS) for _ in range(count))
        midnight += DAY_MS
    return [moment for moment in moments if from_ms <= moment < to_ms]


def _separate(uses: list[tuple[int, int]], watts: float) -> list[LoadSpan]:
    """Return flat pieces of ``uses`` (in order); one that begins before the last has ended is left out."""
    spans: list[LoadSpan] = []
    for start, end in uses:
        if not spans or start > spans[-1].to_ms:
            spans.append(flat(start, end, watts))
    return spans


def _pulses(from_ms: int, to_ms: int, on_ms: int, off_ms: int, watts: float) -> list[LoadSpan]:
    return [flat(at, min(at + on_ms, to_ms), watts) for at in range(from_ms, to_ms, on_ms + off_ms)]


def _ordered(spans: list[LoadSpan]) -> list[LoadSpan]:
    return sorted(spans, key=lambda span: span.from_ms)
