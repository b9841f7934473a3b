"""Every rule that Linli runs. Adding a rule is one file and one line here."""

from __future__ import annotations

from typing import Any

from contracts.rules import RuleFacts, Threshold
from detectors.access.stranger_entry import StrangerEntry
from detectors.charging.indoor_ebike_charging import IndoorEbikeCharging
from detectors.core.rule import Rule
from detectors.devices.camera_impaired import CameraImpaired
from detectors.devices.device_silent import DeviceSilent
from detectors.falling_objects.high_altitude_throw import HighAltitudeThrow
from detectors.fire.smoke_or_heat import SmokeOrHeat
from detectors.vehicles.indoor_ebike import IndoorEbike


def all_rules() -> tuple[Rule[Any], ...]:
    """Return the rules, in order of their names."""
    return (
        CameraImpaired(),
        DeviceSilent(),
        HighAltitudeThrow(),
        IndoorEbike(),
        IndoorEbikeCharging(),
        SmokeOrHeat(),
        StrangerEntry(),
    )


def rule_facts() -> dict[str, RuleFacts]:
    """Return what each rule says of itself, by its name."""
    return {rule.name: rule.facts for rule in all_rules()}


def thresholds() -> dict[str, Threshold]:
    """Return every threshold that a site may replace, by its key (``rule.name``)."""
    return {threshold.key: threshold for facts in rule_facts().values() for threshold in facts.thresholds}
