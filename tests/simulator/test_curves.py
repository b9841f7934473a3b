"""Chargers have a charger's shape on the meter; what must not be mistaken for one lacks at least one trait."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest

from contracts.durations import HOUR_MS, MINUTE_MS
from simulator import appliances
from simulator.chargers import Pack, charger_load, draw_charge
from simulator.loads import Load, LoadSpan, flat

START_MS = 1_773_633_600_000
DAY_END_MS = START_MS + 24 * HOUR_MS


def _watts(load: Load, from_ms: int, to_ms: int, step_ms: int = 30_000) -> list[float]:
    return [load.power_w(at_ms) for at_ms in range(from_ms, to_ms, step_ms)]


def test_a_span_runs_straight_or_dies_away_and_is_nothing_outside() -> None:
    load = Load("x", 1.0, 0.0, [LoadSpan(0, 100, 10, 20), LoadSpan(200, 300, 50, 0, tau_ms=10)])

    assert [load.power_w(t) for t in (-1, 0, 50, 100, 150, 200)] == [0, 10, 15, 0, 0, 50]
    assert load.power_w(299) < 0.01


@pytest.mark.parametrize("pack", list(Pack))
@pytest.mark.parametrize("seed", range(5))
def test_a_charge_has_a_flat_plateau_in_band_then_falls_to_almost_nothing(pack: Pack, seed: int) -> None:
    rng = random.Random(f"charge/{seed}")
    charge = draw_charge(rng, pack, START_MS)
    load = charger_load(rng, charge)
    plateau = _watts(load, charge.plug_ms + MINUTE_MS, charge.bulk_end_ms)
    window = plateau[: 45 * 2]
    total_kwh = sum(_watts(load, charge.plug_ms, charge.unplug_ms)) * 30 / 3_600 / 1_000

    assert 80 <= min(plateau) <= max(plateau) <= 450
    assert statistics.pstdev(window) / statistics.mean(window) < 0.03
    assert charge.bulk_end_ms - charge.plug_ms >= 2 * HOUR_MS
    assert load.power_w(charge.unplug_ms - 1) < 15
    assert load.power_w(charge.unplug_ms) == 0
    assert 0.3 <= total_kwh <= 3.0
    assert 0.5 <= load.power_factor <= 0.65


@pytest.mark.parametrize("make", appliances.LOOK_ALIKES)
def test_every_look_alike_lacks_the_power_the_flatness_or_the_power_factor(make: appliances.Make) -> None:
    load = make(random.Random(5), START_MS, DAY_END_MS)
    at_risk = [
        window
        for hour in range(24 * 4)
        if (window := _watts(load, START_MS + hour * HOUR_MS // 4, START_MS + hour * HOUR_MS // 4 + 45 * MINUTE_MS))
        and min(window) >= 80
        and max(window) <= 450
        and statistics.pstdev(window) / statistics.mean(window) < 0.05
    ]

    assert load.spans
    assert not at_risk or load.power_factor > 0.9


def test_a_fridge_cycles_below_forty_five_minutes() -> None:
    load = appliances.fridge(random.Random(1), START_MS, DAY_END_MS)
    on = [span.to_ms - span.from_ms for span in load.spans]

    assert max(on) < 30 * MINUTE_MS
    assert 0 in _watts(load, START_MS, DAY_END_MS)


def test_spans_never_overlap() -> None:
    for make in (*appliances.LOOK_ALIKES, appliances.fridge, appliances.stair_light):
        spans = make(random.Random(2), START_MS, START_MS + 72 * HOUR_MS).spans
        assert all(a.to_ms <= b.from_ms for a, b in itertools.pairwise(spans)), make.__name__


def test_a_flat_piece_is_flat() -> None:
    assert flat(0, 10, 5.0).power_w(9) == 5.0
