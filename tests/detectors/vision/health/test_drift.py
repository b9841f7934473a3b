"""How far a view went by and by, whatever the pace, and that nothing else is taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.vision.health.drift import Drift
from detectors.vision.health.picture_traits import Cells, traits_of
from tests.detectors.vision.health.test_picture_health import SCENE, living

SLOPES = traits_of(SCENE).slopes


def off_after(seconds: int, spots_per_s: float) -> float:
    drift = Drift()
    for second in range(seconds):
        drift.look(np.roll(SLOPES, round(second * spots_per_s), 1), second * 1_000.0)
    return drift.part * 160


@pytest.mark.parametrize(("spots_per_s", "seconds"), [(0.02, 1_000), (0.075, 300), (0.5, 60)])
def test_what_a_view_went_is_added_up_at_any_pace(spots_per_s: float, seconds: int) -> None:
    assert off_after(seconds, spots_per_s) == pytest.approx(spots_per_s * seconds, abs=5)


def test_a_view_that_comes_back_is_where_it_was() -> None:
    drift = Drift()
    way = [*range(40), *range(40, -1, -1), *[0] * 60]
    offs = []
    for second, spots in enumerate(way):
        drift.look(np.roll(SLOPES, spots, 1), second * 1_000.0)
        offs.append(drift.part)
    assert max(offs) > 0.15
    assert offs[-1] == 0.0


def test_noise_light_and_passers_by_move_nothing() -> None:
    drift = Drift()
    for second in range(200):
        shown: Cells = traits_of(living(SCENE, second * 1_000)).slopes * np.float32(1 - second / 300)
        shown = shown.copy()
        shown[20:80, second % 140 : second % 140 + 30] = 40.0
        drift.look(shown, second * 1_000.0)
    drift.other_light()
    drift.look(SLOPES, 201_000.0)
    assert drift.part == 0.0
