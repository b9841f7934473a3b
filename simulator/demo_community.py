"""The demo's two communities: the first one's facade, lift and side gate are watched by the demo's real edge box."""

from __future__ import annotations

import random

import msgspec

from contracts.durations import MINUTE_MS
from contracts.events import Configuration, ConfigurationRecord, Origin
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse
from simulator.community import Community, Device, Plan, build_community
from simulator.inventory import inventory

DEMO_BOX = "box-demo"
CAM_FACADE, CAM_LIFT, CAM_GATE = "cam-facade", "cam-lift", "cam-gate"
SIDE_GATE_PLACE = "side-gate"
DEMO_SITE, SECOND_SITE = "site-01", "site-02"
DEMO_SITES = ((DEMO_SITE, "锦绣花园"), (SECOND_SITE, "翠湖新村"))

PLAN = Plan(metered_rooms=8, rooms=10)
HEARTBEAT_MS = 20_000
"""A demo's devices say more often that they live, so that its page is alive."""
SILENT_MS = 10 * MINUTE_MS
REPLACED = ("cam-b1-facade", "cam-b1u1-lift")
"""The simulated cameras whose places the real ones watch."""


def demo_communities(seed: int) -> tuple[Community, Community]:
    """Return the communities of the demo with this seed: the one with the real edge box first."""
    first, second = (
        _lively(build_community(random.Random(f"{seed}/demo/{site_id}"), site_id, name, PLAN))
        for site_id, name in DEMO_SITES
    )
    return _with_real_box(first), second


def _lively(community: Community) -> Community:
    devices = tuple(
        msgspec.structs.replace(device, heartbeat_ms=device.heartbeat_ms and HEARTBEAT_MS, silent_after_ms=SILENT_MS)
        for device in community.devices
    )
    return msgspec.structs.replace(community, devices=devices)


def _with_real_box(community: Community) -> Community:
    side_gate = Place(
        place_id=SIDE_GATE_PLACE,
        kind=PlaceKind.DOOR,
        use=PlaceUse.ENTRANCE,
        parent_id=community.site_id,
        name="南侧门",
    )
    simulated = tuple(device for device in community.devices if device.device_id not in REPLACED)
    kitchen = msgspec.structs.replace(
        community.of_class(DeviceClass.SENSOR)[0],
        device_id=f"smoke-{kitchen_meter(community).place_id}",
        place_id=kitchen_meter(community).place_id,
    )
    return msgspec.structs.replace(
        community, places=(*community.places, side_gate), devices=(kitchen, *simulated, *_real_devices())
    )


def kitchen_meter(community: Community) -> Device:
    """Return the meter of the flat that has a smoke sensor of its own and charges a small battery beside it."""
    return [meter for meter in community.of_class(DeviceClass.METER) if meter.consented][5]


def _real_devices() -> tuple[Device, ...]:
    """Return the demo's box and cameras. The box's silence is judged; a camera speaks only when it sees something."""
    box = Device(
        device_id=DEMO_BOX,
        device_class=DeviceClass.EDGE,
        place_id="b1",
        heartbeat_ms=HEARTBEAT_MS,
        silent_after_ms=SILENT_MS,
    )
    watched = ((CAM_FACADE, "b1-facade"), (CAM_LIFT, "b1u1-lift"), (CAM_GATE, SIDE_GATE_PLACE))
    cameras = (
        Device(
            device_id=camera,
            device_class=DeviceClass.CAM,
            place_id=place,
            heartbeat_ms=0,
            silent_after_ms=None,
            box_id=DEMO_BOX,
        )
        for camera, place in watched
    )
    return (box, *cameras)


def demo_inventory(seed: int, at_ms: int) -> list[Configuration]:
    """Return the configuration records of the demo's communities at ``at_ms``, with versions and ids.

    :func:`simulator.demo_script.history` begins with the same records, so an inventory that allots versions from 1
    in this order agrees with the log.
    """
    records: list[Configuration] = []
    for community in demo_communities(seed):
        for number, record in enumerate(inventory(community, at_ms), start=1):
            records.append(msgspec.structs.replace(versioned(record, number), origin=Origin.SIMULATED))
    return records


def versioned(record: Configuration, number: int) -> Configuration:
    """Return ``record`` as the ``number``-th of its site."""
    assert isinstance(record, ConfigurationRecord)
    return msgspec.structs.replace(record, version=number, event_id=f"config-{number}", received_ms=record.at_ms)
