"""What waits for an entry in the inventory: devices that spoke without one, and topics nobody knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from contracts.errors import Rejected
from contracts.events import DeviceConfigured
from contracts.names import parse_topic
from contracts.suggestions import nearest


class PendingDevice(msgspec.Struct):
    """A device without a record: how often it spoke, and last about what."""

    site_id: str = ""
    device_id: str = ""
    device_class: str = ""
    count: int = 0
    last_kind: str = ""
    last_ms: int = 0


class PendingTopic(msgspec.Struct):
    """A topic that is none of ours: a device to be adopted, perhaps."""

    topic: str = ""
    count: int = 0
    last_bytes: int = 0
    last_ms: int = 0


def why_device_waits(device: PendingDevice, known: Iterable[DeviceConfigured], sites: Iterable[str]) -> str:
    """Return why what a device says is not used, and what was probably meant.

    Args:
        device: who spoke.
        known: the devices of the inventory, of all sites.
        sites: its sites.
    """
    devices = list(known)
    if device.site_id not in {*sites, *(one.site_id for one in devices)}:
        return f"the inventory has no site {device.site_id!r}"
    elsewhere = sorted(one.site_id for one in devices if one.device_id == device.device_id)
    if elsewhere:
        return f"the inventory has it at site {', '.join(elsewhere)}"
    close = nearest(device.device_id, [one.device_id for one in devices if one.site_id == device.site_id])
    return "it is not in the inventory" + (f"; did you mean {close!r}?" if close else "")


def why_topic_waits(topic: str) -> str:
    """Return why a topic is none of ours."""
    try:
        parse_topic(topic)
    except Rejected as error:
        return error.detail
    return "nobody is in the inventory who speaks there"
