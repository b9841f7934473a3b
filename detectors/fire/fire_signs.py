"""What a single reading of a smoke or heat sensor says about fire. Shared by the rules that must agree on it."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.events import EnvironmentSampled
from contracts.findings import Fact
from contracts.rules import Threshold
from detectors.core.facts import fact
from detectors.core.site_view import SiteView

RULE = "smoke_or_heat"
"""Whose thresholds these are."""

SMOKE = Threshold(
    RULE,
    "smoke_pct_m",
    5.0,
    0.5,
    50,
    "%/m",
    "smoke from here on is a sign of fire: EN 14604 detectors sound at 2–4.5 %/m, so the sensor's own alarm is overdue",
)
HEAT = Threshold(
    RULE,
    "temperature_c",
    60.0,
    30,
    150,
    "°C",
    "warmer is a sign of fire: EN 54-5 class A heat detectors respond from 54 °C on, and no dwelling gets there",
)


PLAUSIBLE_C = 300.0
"""No sensor of a room lives to say more: 655.35, 999.9 and 1370 are what a dead probe or an open thermocouple says."""


def is_sure(signs: Sequence[Fact]) -> bool:
    """Return whether the signs of one reading are enough, whatever its neighbours say: an alarm, or smoke with heat.

    A single number may be what a sensor says when it gets power, or a bad contact.
    """
    if not signs:
        return False
    codes = {sign.code for sign in signs if not _is_fault(sign)}
    return "sensor_alarm" in codes or ("smoke_pct_m" in codes and len(codes) > 1)


def _is_fault(sign: Fact) -> bool:
    return sign.code == "temperature_c" and isinstance(sign.value, float) and sign.value > PLAUSIBLE_C


def fire_signs(event: EnvironmentSampled, site: SiteView) -> tuple[Fact, ...]:
    """Return the signs of fire in one reading, in a fixed order; none when it is harmless."""
    if not event.alarm and event.smoke_pct_m is None and event.temperature_c is None:
        return ()
    ids = (event.event_id,)
    signs = []
    if event.alarm:
        signs.append(fact("sensor_alarm", True, event_ids=ids))  # noqa: FBT003 - the fact's value
    smoke, heat = event.smoke_pct_m, event.temperature_c
    if smoke is not None and smoke >= (smoke_limit := site.threshold(SMOKE)):
        signs.append(fact("smoke_pct_m", smoke, limit=smoke_limit, event_ids=ids))
    if heat is not None and heat >= (heat_limit := site.threshold(HEAT)):
        signs.append(fact("temperature_c", heat, limit=heat_limit, event_ids=ids))
    return tuple(signs)
