"""Every rule that Linli runs. Adding a rule is one file and one line here."""

from __future__ import annotations

from typing import Any

from detectors.access.stranger_entry import StrangerEntry
from detectors.charging.indoor_ebike_charging import IndoorEbikeCharging
from detectors.core.rule import Rule
from detectors.devices.device_silent import DeviceSilent
from detectors.falling_objects.high_altitude_throw import HighAltitudeThrow
from detectors.fire.smoke_or_heat import SmokeOrHeat
from detectors.vehicles.indoor_ebike import IndoorEbike


def all_rules() -> tuple[Rule[Any], ...]:
    """The rules, in order of their names."""
    return (
        DeviceSilent(),
        HighAltitudeThrow(),
        IndoorEbike(),
        IndoorEbikeCharging(),
        SmokeOrHeat(),
        StrangerEntry(),
    )
