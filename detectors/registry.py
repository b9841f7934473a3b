"""Every rule that Linli runs. Adding a rule is one file and one line here."""

from __future__ import annotations

from typing import Any

from detectors.device_silent import DeviceSilent
from detectors.high_altitude_throw import HighAltitudeThrow
from detectors.indoor_ebike import IndoorEbike
from detectors.indoor_ebike_charging import IndoorEbikeCharging
from detectors.rule import Rule
from detectors.smoke_or_heat import SmokeOrHeat
from detectors.stranger_entry import StrangerEntry


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
