"""Load curves with varied parameters: chargers of every class, and what a careless rule takes for one.

A load is a function of seconds since the start of the run, giving watts; with it goes how it loads the mains: reactive
(motors) or distorted (rectifiers). Circuits add loads: P and Q add, distortions add, S² = P² + Q² + D². Every number is
drawn from a seeded generator, so a failing seed can be named. Powers and times follow
docs/standards.md#charger-signature and nameplates.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import msgspec

MINUTE, HOUR = 60.0, 3600.0
Watts = Callable[[float], float]


class Load(msgspec.Struct, frozen=True):
    """One appliance: its power over time, its own power factor, and whether it distorts (a rectifier) or shifts."""

    watts: Watts
    power_factor: float = 1.0
    distorts: bool = False
    noise: float = 0.01


class Sample(msgspec.Struct, frozen=True):
    """What a meter reads: seconds since the start, watts, and the power factor when it measures one."""

    at_s: float
    watts: float
    power_factor: float | None


class Charging(msgspec.Struct, frozen=True):
    """A charge with its truth: when it was plugged in, when its plateau ends and when it draws nothing any more."""

    load: Load
    from_s: float
    bulk_end_s: float
    end_s: float
    bulk_w: float


def meter(
    loads: Sequence[Load], rng: random.Random, *, hours: float, every_s: float = 10.0, factor: bool = True
) -> list[Sample]:
    """Readings of a circuit: every ``every_s`` with jitter, instantaneous values with noise and 0.1 W steps."""
    samples, at_s = [], rng.uniform(0, every_s)
    while at_s < hours * HOUR:
        samples.append(_sample(loads, rng, at_s, factor=factor))
        at_s += every_s * rng.uniform(0.97, 1.03)
    return samples


def on_change(samples: Sequence[Sample], change_w: float = 5.0, at_least_s: float = 300.0) -> list[Sample]:
    """The readings a meter would send that reports on change: ``change_w`` or more, and at least every five minutes."""
    sent: list[Sample] = []
    for sample in samples:
        if not sent or abs(sample.watts - sent[-1].watts) >= change_w or sample.at_s - sent[-1].at_s >= at_least_s:
            sent.append(sample)
    return sent


def _sample(loads: Sequence[Load], rng: random.Random, at_s: float, *, factor: bool) -> Sample:
    real = shifted = distorted = 0.0
    for load in loads:
        watts = load.watts(at_s)
        if watts > 0:
            watts *= rng.gauss(1.0, load.noise)
            other = watts * math.sqrt(1 - load.power_factor**2) / load.power_factor
            real += watts
            if load.distorts:
                distorted += other
            else:
                shifted += other
    apparent = math.sqrt(real**2 + shifted**2 + distorted**2)
    measured = min(1.0, max(0.0, rng.gauss(real / apparent, 0.01))) if apparent > 0 else None
    return Sample(at_s, round(max(0.0, real), 1), round(measured, 2) if factor and measured is not None else None)


# --- chargers ---------------------------------------------------------------------------------------------------------


def lead_acid(rng: random.Random, bulk_w: tuple[float, float], from_s: float) -> Charging:
    """Constant current into a rising voltage, absorption that sinks to a quarter, then float at about 10 W."""
    power_w, bulk_s = rng.uniform(*bulk_w), rng.uniform(3.0, 7.0) * HOUR
    climb, tau_s = rng.uniform(1.02, 1.13), rng.uniform(22, 45) * MINUTE
    absorb_s, float_w = rng.uniform(1.0, 2.0) * HOUR, rng.uniform(6, 13)
    rest = rng.uniform(0.15, 0.3)
    bulk_end_s, float_s = from_s + bulk_s, from_s + bulk_s + absorb_s
    end_s = float_s + rng.uniform(0.5, 2) * HOUR

    def watts(at_s: float) -> float:
        if at_s < from_s or at_s >= end_s:
            return 0.0
        if at_s < bulk_end_s:
            return power_w * (1 + (climb - 1) * (at_s - from_s) / bulk_s)
        if at_s < float_s:
            sunk = rest + (1 - rest) * math.exp(-(at_s - bulk_end_s) / tau_s)
            return power_w * climb * sunk
        return float_w

    return Charging(
        Load(watts, rng.uniform(0.52, 0.64), True, rng.uniform(0.004, 0.015)), from_s, bulk_end_s, end_s, power_w
    )


def lithium(rng: random.Random, bulk_w: tuple[float, float], from_s: float, bulk_h: tuple[float, float]) -> Charging:
    """Constant current, constant voltage with a tail of 25–70 minutes, then the battery's electronics cut it off."""
    power_w, bulk_s = rng.uniform(*bulk_w), rng.uniform(*bulk_h) * HOUR
    climb, tau_s, cut_s = rng.uniform(1.03, 1.12), rng.uniform(12, 30) * MINUTE, rng.uniform(25, 70) * MINUTE
    bulk_end_s = from_s + bulk_s
    end_s = bulk_end_s + cut_s

    def watts(at_s: float) -> float:
        if at_s < from_s:
            return 0.0
        if at_s < bulk_end_s:
            return power_w * (1 + (climb - 1) * (at_s - from_s) / bulk_s)
        return power_w * climb * math.exp(-(at_s - bulk_end_s) / tau_s) if at_s < end_s else 0.6

    return Charging(
        Load(watts, rng.uniform(0.5, 0.65), True, rng.uniform(0.004, 0.015)), from_s, bulk_end_s, end_s, power_w
    )


CHARGERS: dict[str, Callable[[random.Random, float], Charging]] = {
    "lead_acid_48v": lambda rng, at: lead_acid(rng, (110, 180), at),
    "lead_acid_60v": lambda rng, at: lead_acid(rng, (170, 250), at),
    "lead_acid_72v": lambda rng, at: lead_acid(rng, (220, 400), at),
    "lithium": lambda rng, at: lithium(rng, (130, 215), at, (2.5, 4.5)),
    "fast_to_450w": lambda rng, at: lithium(rng, (300, 395), at, (1.0, 2.6)),
    "fast_over_450w": lambda rng, at: lithium(rng, (480, 600), at, (1.0, 2.5)),
}
"""Class of charger → a charge that is plugged in at the given second."""


# --- look-alikes ------------------------------------------------------------------------------------------------------


def _cycling(
    rng: random.Random, on_s: tuple[float, float], off_s: tuple[float, float], from_s: float, to_s: float
) -> Callable[[float], float | None]:
    """Seconds since the present run began, None between runs."""
    runs, at_s = [], from_s
    while at_s < to_s:
        end_s = at_s + rng.uniform(*on_s)
        runs.append((at_s, min(end_s, to_s)))
        at_s = end_s + rng.uniform(*off_s)

    def since(at_s: float) -> float | None:
        for start_s, end_s in runs:
            if start_s <= at_s < end_s:
                return at_s - start_s
        return None

    return since


def kettle(rng: random.Random, hours: float) -> Load:
    """Two to five minutes at 1.4–2 kW, now and then."""
    power_w = rng.uniform(1400, 2000)
    since = _cycling(rng, (120, 300), (0.7 * HOUR, 4 * HOUR), rng.uniform(0, HOUR), hours * HOUR)
    return Load(lambda at: power_w if since(at) is not None else 0.0, 1.0, False, 0.005)


def fridge(rng: random.Random, hours: float, on_min: tuple[float, float] = (18, 42)) -> Load:
    """A compressor with an induction motor: runs of 18–42 minutes that sink by 15 %, and a charger's power factor."""
    power_w, sinks = rng.uniform(85, 150), rng.uniform(0.05, 0.18)
    since = _cycling(
        rng, (on_min[0] * MINUTE, on_min[1] * MINUTE), (18 * MINUTE, 45 * MINUTE), -rng.uniform(0, HOUR), hours * HOUR
    )

    def watts(at_s: float) -> float:
        run_s = since(at_s)
        if run_s is None:
            return 0.0
        return power_w * (3.0 if run_s < 2 else 1 - sinks * (1 - math.exp(-run_s / (12 * MINUTE))))

    return Load(watts, rng.uniform(0.55, 0.8), False, 0.01)


def hot_day_fridge(rng: random.Random, hours: float) -> Load:
    """An old fridge in summer: runs of 45–75 minutes, all day."""
    return fridge(rng, hours, (45, 75))


def air_conditioner(rng: random.Random, hours: float) -> Load:
    """Fixed speed: a compressor of 700–1200 W and its fan, 8–25 minutes on."""
    power_w, fan_w = rng.uniform(700, 1200), rng.uniform(30, 60)
    since = _cycling(rng, (8 * MINUTE, 25 * MINUTE), (5 * MINUTE, 15 * MINUTE), rng.uniform(0, HOUR), hours * HOUR)
    return Load(lambda at: fan_w + (power_w if since(at) is not None else 0.0), 0.92, False, 0.02)


def inverter_air_conditioner(rng: random.Random, hours: float) -> Load:
    """Full power while the room is warm, down to 150–500 W as it cools, drifting with the day."""
    start_s, peak_w, low_w = rng.uniform(1, 3) * HOUR, rng.uniform(750, 1200), rng.uniform(150, 500)
    cool_s, sway, period_s = rng.uniform(8, 40) * MINUTE, rng.uniform(0.08, 0.3), rng.uniform(25, 90) * MINUTE

    def watts(at_s: float) -> float:
        if at_s < start_s:
            return 2.0
        run_s = at_s - start_s
        settled = low_w + (peak_w - low_w) * math.exp(-run_s / cool_s)
        return settled * (1 + sway * math.sin(2 * math.pi * run_s / period_s))

    return Load(watts, rng.uniform(0.93, 0.99), False, 0.03)


def laptop(rng: random.Random, hours: float) -> Load:
    """A charger in everything but size: 45–90 W flat, then a tail."""
    power_w, start_s = rng.uniform(45, 90), rng.uniform(1, 3) * HOUR
    full_s, tau_s = start_s + rng.uniform(0.8, 2.2) * HOUR, rng.uniform(12, 30) * MINUTE

    def watts(at_s: float) -> float:
        if at_s < start_s:
            return 0.5
        return power_w if at_s < full_s else max(4.0, power_w * math.exp(-(at_s - full_s) / tau_s))

    return Load(watts, rng.uniform(0.5, 0.65), True, 0.02)


def lamp(rng: random.Random, hours: float) -> Load:
    """Halogen light of 60–320 W, flat for hours, off at once."""
    power_w, start_s = rng.uniform(60, 320), rng.uniform(1, 4) * HOUR
    end_s = start_s + rng.uniform(2, 6) * HOUR
    return Load(lambda at: power_w if start_s <= at < end_s else 0.0, 0.99, False, 0.003)


def rice_cooker(rng: random.Random, hours: float) -> Load:
    """25–45 minutes at 400–900 W, then keeping warm in pulses."""
    power_w, start_s = rng.uniform(400, 900), rng.uniform(1, 4) * HOUR
    done_s, end_s = start_s + rng.uniform(25, 45) * MINUTE, start_s + rng.uniform(1.5, 5) * HOUR
    on_s, period_s = rng.uniform(8, 25), rng.uniform(50, 180)

    def watts(at_s: float) -> float:
        if not start_s <= at_s < end_s:
            return 1.0
        return power_w if at_s < done_s or (at_s - done_s) % period_s < on_s else 1.0

    return Load(watts, 1.0, False, 0.006)


def heater(rng: random.Random, hours: float) -> Load:
    """A panel heater on its thermostat: one long first run, then minutes on and minutes off."""
    power_w, start_s = rng.choice((400.0, 440.0, 800.0, 1500.0)) * rng.uniform(0.93, 1.0), rng.uniform(1, 3) * HOUR
    first_s = rng.uniform(10, 80) * MINUTE
    since = _cycling(rng, (4 * MINUTE, 14 * MINUTE), (4 * MINUTE, 16 * MINUTE), start_s + first_s + 300, hours * HOUR)
    return Load(
        lambda at: power_w if start_s <= at < start_s + first_s or since(at) is not None else 0.0, 1.0, False, 0.005
    )


def television(rng: random.Random, hours: float) -> Load:
    """80–200 W with the picture's content, for an evening; power factor corrected as its size demands."""
    power_w, start_s = rng.uniform(80, 200), rng.uniform(1, 3) * HOUR
    end_s, sway = start_s + rng.uniform(2, 5) * HOUR, rng.uniform(0.0, 0.2)
    periods = [rng.uniform(15, 90), rng.uniform(60, 240)]

    def watts(at_s: float) -> float:
        if not start_s <= at_s < end_s:
            return 0.5
        return power_w * (1 + sway * sum(math.sin(2 * math.pi * at_s / period_s) for period_s in periods) / 2)

    return Load(watts, rng.uniform(0.9, 0.98), False, 0.02)


def computer(rng: random.Random, hours: float) -> Load:
    """60–350 W in steps of minutes to an hour, as it is used, with a corrected supply."""
    start_s, steps = rng.uniform(1, 2) * HOUR, []
    at_s, end_s = start_s, start_s + rng.uniform(2, 6) * HOUR
    while at_s < end_s:
        steps.append((at_s, rng.uniform(60, 350)))
        at_s += rng.uniform(2, 60) * MINUTE

    def watts(at_s: float) -> float:
        if not start_s <= at_s < end_s:
            return 2.0
        return next(level for from_s, level in reversed(steps) if from_s <= at_s)

    return Load(watts, rng.uniform(0.9, 0.98), False, 0.03)


def electric_blanket(rng: random.Random, hours: float) -> Load:
    """60–130 W: warm-up, then cycling."""
    power_w, start_s = rng.uniform(60, 130), rng.uniform(1, 3) * HOUR
    since = _cycling(rng, (60, 300), (60, 400), start_s + 1800, hours * HOUR)
    return Load(
        lambda at: power_w if start_s <= at < start_s + 1800 or since(at) is not None else 0.0, 1.0, False, 0.005
    )


def router(rng: random.Random, hours: float) -> Load:
    """Always on, 6–20 W."""
    power_w = rng.uniform(6, 20)
    return Load(lambda _at: power_w, 0.55, True, 0.03)


LOOK_ALIKES: dict[str, Callable[[random.Random, float], Load]] = {
    "kettle": kettle,
    "fridge": fridge,
    "hot_day_fridge": hot_day_fridge,
    "air_conditioner": air_conditioner,
    "inverter_air_conditioner": inverter_air_conditioner,
    "laptop": laptop,
    "lamp": lamp,
    "rice_cooker": rice_cooker,
    "heater": heater,
    "television": television,
    "computer": computer,
    "electric_blanket": electric_blanket,
    "router": router,
}
"""Name → one such appliance over a run of so many hours."""


def household(rng: random.Random, hours: float) -> list[Load]:
    """Return what runs beside a charger: a fridge, a router, and often light, a television and a kettle."""
    loads = [fridge(rng, hours), router(rng, hours)]
    loads += [make(rng, hours) for make in (television, kettle, rice_cooker) if rng.random() < 0.5]
    return loads
