"""`SiteView`: records of configuration, and the indexes that follow from them."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.events import DeviceConfigured, VehicleRegistered
from contracts.names import DeviceClass
from detectors.core.site_view import SiteView, apply_record
from tests.detectors.builders import SITE, Script

DEVICE = st.tuples(st.sampled_from("abc"), st.sampled_from(("p1", "p2")), st.booleans())
VEHICLE = st.tuples(st.sampled_from("vw"), st.sampled_from(("t1", "t2", None)), st.booleans())


def device(script: Script, name: str, place_id: str, *, removed: bool) -> DeviceConfigured:
    return script.device(name, DeviceClass.METER, place_id, removed=removed)


@settings(max_examples=60, deadline=None)
@given(st.lists(DEVICE, max_size=12))
def test_the_devices_of_a_place_are_always_those_whose_record_says_so(changes: list[tuple[str, str, bool]]) -> None:
    script, view = Script(), SiteView(site_id=SITE)
    for name, place_id, removed in changes:
        apply_record(view, device(script, name, place_id, removed=removed))
        said: dict[str, list[str]] = {}
        for known in view.devices.values():
            said.setdefault(known.place_id, []).append(known.device_id)
        assert view.devices_at == {place: tuple(sorted(names)) for place, names in said.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(VEHICLE, max_size=12))
def test_a_tag_leads_to_a_vehicle_that_has_it(changes: list[tuple[str, str | None, bool]]) -> None:
    script, view = Script(), SiteView(site_id=SITE)
    for vehicle_id, tag_id, removed in changes:
        record = script.vehicle(vehicle_id, "t1", "room1")
        apply_record(view, msgspec.structs.replace(record, tag_id=tag_id, removed=removed))
        assert all(view.vehicles[owner].tag_id == tag for tag, owner in view.tags.items())


def test_a_record_seen_twice_or_older_changes_nothing() -> None:
    script, view = Script(), SiteView(site_id=SITE)
    first: VehicleRegistered = script.vehicle("v", "t1", "room1")
    second = script.vehicle("v", "t2", "room1")
    for record in (first, second, first, second):
        apply_record(view, record)
    assert (view.tags, view.config_version) == ({"t2": "v"}, second.version)


def test_local_minutes_follow_the_sites_time_zone() -> None:
    view = SiteView(site_id=SITE)
    assert view.local_minute_of_day(0) == 8 * 60
