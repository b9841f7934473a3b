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


SURE = frozenset({"sensor_alarm", "smoke_pct_m"})
"""Signs that need no other. A single temperature may be what a sensor says when it gets power, or a bad contact."""


def is_sure(signs: Sequence[Fact]) -> bool:
    """Return whether the signs of one reading are enough, whatever its neighbours say."""
    return bool(signs) and any(sign.code in SURE for sign in signs)


def fire_signs(event: EnvironmentSampled, site: SiteView) -> tuple[Fact, ...]:
    """Return the signs of fire in one reading, in a fixed order; none when it is harmless."""
    if not event.alarm and event.smoke_pct_m is None and event.temperature_c is None:
        return ()
    ids = (event.event_id,)
    signs = []
    if event.alarm:
        signs.append(fact("sensor_alarm", True, event_ids=ids))  # noqa: FBT003 - the fact's value
    smoke_limit = site.threshold(SMOKE)
    if event.smoke_pct_m is not None and event.smoke_pct_m >= smoke_limit:
        signs.append(fact("smoke_pct_m", event.smoke_pct_m, limit=smoke_limit, event_ids=ids))
    heat_limit = site.threshold(HEAT)
    if event.temperature_c is not None and event.temperature_c >= heat_limit:
        signs.append(fact("temperature_c", event.temperature_c, limit=heat_limit, event_ids=ids))
    return tuple(signs)
