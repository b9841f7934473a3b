"""A community's configuration records: the site, its places and devices, and the numbers it changed."""

from __future__ import annotations

from contracts.events import (
    CONFIG_SOURCE,
    Configuration,
    DeviceConfigured,
    PlaceConfigured,
    SiteConfigured,
    ThresholdConfigured,
    event_header,
)
from contracts.places import Place
from simulator.community import Community, Device

THRESHOLDS: tuple[tuple[str, str, float], ...] = (
    ("stranger_entry", "window_ms", 15_000),
    ("indoor_ebike", "dwell_ms", 3_000),
    ("smoke_or_heat", "clear_ms", 60_000),
)
"""Numbers that a site's people have confirmed; each equals the rule's own default, so no finding depends on them."""


def inventory(community: Community, at_ms: int) -> list[Configuration]:
    """Return the records that bring ``community`` into being at ``at_ms``; their versions are allotted on writing."""
    site_id = community.site_id
    records: list[Configuration] = [
        SiteConfigured(
            **event_header(site_id, CONFIG_SOURCE, site_id, at_ms),
            version=0,
            name=community.name,
        )
    ]
    records += [_place(site_id, place, at_ms) for place in community.places]
    records += [device_record(site_id, device, at_ms) for device in community.devices]
    return records + [_threshold(site_id, *threshold, at_ms) for threshold in THRESHOLDS]


def _place(site_id: str, place: Place, at_ms: int) -> PlaceConfigured:
    return PlaceConfigured(
        **event_header(site_id, CONFIG_SOURCE, place.place_id, at_ms),
        version=0,
        place=place,
    )


def device_record(site_id: str, device: Device, at_ms: int) -> DeviceConfigured:
    """Return the inventory's record of one device."""
    return DeviceConfigured(
        **event_header(site_id, CONFIG_SOURCE, device.place_id, at_ms),
        version=0,
        device_id=device.device_id,
        device_class=device.device_class,
        name=device.device_id,
        box_id=device.box_id,
        silent_after_ms=device.silent_after_ms,
        consented=device.consented,
    )


def _threshold(site_id: str, rule: str, name: str, value: float, at_ms: int) -> ThresholdConfigured:
    return ThresholdConfigured(
        **event_header(site_id, CONFIG_SOURCE, site_id, at_ms),
        version=0,
        rule=rule,
        name=name,
        value=value,
    )
