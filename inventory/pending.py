"""What waits for an entry in the inventory: devices that spoke without one, and topics nobody knows. Pure."""

from __future__ import annotations

import msgspec


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
