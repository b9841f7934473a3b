"""Every fact code a rule may state, with its unit: the table that the zh-CN and en catalogues are tested against.

A fact is a code, a value, a unit and the limit it was held against; sentences are made on reading. Values that are
words come from a closed set, so that they can be translated too.
"""

from __future__ import annotations

from contracts.findings import Fact

FACT_UNITS: dict[str, str] = {
    # stranger_entry
    "manner": "",
    "since_grant_s": "s",
    "door_open_s": "s",
    "denied_before": "",
    # indoor_ebike
    "place_use": "",
    "dwell_s": "s",
    "mean_score": "",
    "label_share": "",
    # indoor_ebike_charging
    "stage": "",
    "plateau_w": "W",
    "plateau_min": "min",
    "plateau_variation": "",
    "power_factor": "",
    "taper_min": "min",
    "energy_kwh": "kWh",
    "charging_min": "min",
    "ebike_seen_before_min": "min",
    "tag_seen_before_min": "min",
    "fire_sign": "",
    "ended": "",
    # high_altitude_throw
    "drop_m": "m",
    "drop_error_m": "m",
    "floor": "floor",
    "floor_error": "floor",
    "column": "",
    "gravity_ms2": "m/s²",
    "calibrated": "",
    "suspected": "",
    "fall_s": "s",
    "fit_error_px": "px",
    # smoke_or_heat (and indoor_ebike_charging)
    "sensor_alarm": "",
    "smoke_pct_m": "%/m",
    "temperature_c": "°C",
    "temperature_rise_c_min": "°C/min",
    # camera_impaired
    "impaired_by": "",
    "impaired_s": "s",
    # device_silent
    "silent_s": "s",
    "silence_reason": "",
    # what the engine says of a rule or record that failed (streams.engine.finding_emitter)
    "failed_rule": "",
    "failed_key": "",
    "failure": "",
    "error_type": "",
    "log_position": "",
    "decode_error": "",
}
"""code → unit."""

FACT_VALUES: dict[str, tuple[str, ...]] = {
    "manner": ("tailgating", "door_held", "open_door", "no_grant"),
    "denied_before": (
        "unknown_face", "expired", "wrong_pin", "not_allowed", "antipassback", "duress", "other",
    ),
    "place_use": ("lobby", "corridor", "stair", "lift"),
    "stage": ("suspected", "confirmed"),
    "ended": ("cleared", "left", "not_seen", "power_off", "no_samples", "too_long", "not_judged", "heard", "removed"),
    "silence_reason": ("no_message", "offline"),
    "impaired_by": (
        "no_frames", "not_judged", "black", "covered", "frozen", "moved", "blurred", "lagging", "wrong_time",
    ),
    "failure": (
        "raised", "too_many_keys", "bad_key", "state_too_large", "wrong_state", "deadline_before_event",
        "deadline_not_later", "bad_finding",
    ),
}  # fmt: skip
"""code → its closed set of words; codes not named here have numbers, booleans or ids."""


FactValue = float | str | bool | None


def fact(code: str, value: FactValue, *, limit: float | None = None, event_ids: tuple[str, ...] = ()) -> Fact:
    """Return a fact with the unit of its code; numbers are rounded to three decimals, which no reader needs more of.

    Raises:
        KeyError: when ``code`` is not in the table.
    """
    rounded = round(value, 3) if isinstance(value, float) else value
    return Fact(code=code, value=rounded, unit=FACT_UNITS[code], limit=limit, event_ids=event_ids)
