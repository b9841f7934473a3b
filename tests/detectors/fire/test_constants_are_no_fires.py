"""What a sensor says when it gets power, or has lost its probe, is no fire; a fire is found as early as before."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.core.site_view import SiteView
from detectors.fire.fire_signs import fire_signs, is_sure
from detectors.fire.smoke_or_heat import SmokeOrHeat
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script
from tests.detectors.harness import run

Said = list[dict[str, Any]]


def _smoke(*values: float) -> Said:
    return [{"smoke_pct_m": value} for value in values]


def _heat(*values: float) -> Said:
    return [{"temperature_c": value} for value in values]


def _opens(said: Said, every: int) -> list[int]:
    """Which of the readings open an episode."""
    script = Script()
    found = run(SmokeOrHeat(), [script.environment(n * every, **one) for n, one in enumerate(said)], T0 + 100 * HOUR)
    return [(d.at_ms - T0) // every for d in found if str(d.phase) == "open"]


@pytest.mark.parametrize(
    "said",
    [
        _smoke(100.0, 0.1, 0.1),
        _smoke(0.1, 65.535, 0.1),
        _smoke(0.1, 25.5, 0.1, 25.5, 0.1),
        _smoke(0.1, 25.5, 25.5, 25.5),
        _smoke(0.1, 65.535, 65.535, 65.535),
        _smoke(1.5, 1.5, 1.5, 65.535, 1.5),  # a dusty one
        _smoke(12.0),
        _heat(21.0, 999.9, 999.9, 999.9),
        _heat(21.0, 655.35, 655.35),
        _heat(21.0, 1370.0, 1371.2, 1369.9),
        _heat(21.0, 85.0, 999.9),
        _heat(85.0, 85.0, 85.0, 85.0),
        _heat(21.0, 125.0, 125.0, 21.0),
        [{"temperature_c": 999.9, "smoke_pct_m": 65.535}] * 3,
    ],
)
@pytest.mark.parametrize("every", [10 * SECOND, MINUTE, 10 * MINUTE, HOUR])
def test_constants_of_a_sensor_are_no_fire(said: Said, every: int) -> None:
    assert _opens(said, every) == []


def test_a_full_scale_after_hours_is_no_second_reading() -> None:
    assert _opens(_smoke(100.0, 100.0, 100.0), HOUR) == []


@pytest.mark.parametrize(
    ("said", "opens"),
    [
        (_smoke(0.1, 8.0, 9.1), 2),  # a second one
        (_smoke(0.1, 8.0, 6.2), 2),
        (_smoke(0.1, 100.0, 100.0), 2),  # the scale ends in dense smoke
        (_smoke(0.1, 1.2, 6.0), 2),  # it was rising
        (_smoke(1.5, 1.5, 2.4, 6.0), 3),
        (_heat(22.0, 85.0, 90.0), 2),
        (_heat(22.0, 30.0, 45.0, 63.0), 2),
        ([{"smoke_pct_m": 6.0, "temperature_c": 61.0}], 0),  # two kinds of sign
        ([{"smoke_pct_m": 65.535, "alarm": True}], 0),
    ],
)
def test_a_fire_is_found_at_its_second_sign_or_at_once_when_it_was_rising(said: Said, opens: int) -> None:
    assert _opens(said, MINUTE)[:1] == [opens]


def test_a_probe_that_burns_does_not_say_that_the_fire_is_over() -> None:
    script = Script()
    values = [22.0, 35.0, 50.0, 70.0, *[999.9] * 30]
    found = run(SmokeOrHeat(), [script.environment(n * MINUTE, temperature_c=v) for n, v in enumerate(values)])
    assert "close" not in [str(d.phase) for d in found]
    assert found


@pytest.mark.parametrize(
    ("reading", "sure"),
    [
        ({"alarm": True}, True),
        ({"smoke_pct_m": 65.535}, False),
        ({"smoke_pct_m": 6.0, "temperature_c": 61.0}, True),
        ({"smoke_pct_m": 65.535, "temperature_c": 999.9}, False),
        ({"temperature_c": 85.0}, False),
    ],
)
def test_which_signs_of_one_reading_are_enough(reading: dict[str, Any], sure: bool) -> None:
    assert is_sure(fire_signs(Script().environment(0, **reading), SiteView(site_id="s1"))) is sure
