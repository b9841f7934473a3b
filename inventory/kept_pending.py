"""Devices and topics that wait for a record, as the inventory's database keeps them: each shard its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from contracts.durations import DAY_MS
from contracts.events import DeviceConfigured
from inventory.pending import PendingDevice, PendingTopic
from inventory.tables import Tables

PENDING_KEPT_MS = 7 * DAY_MS


class KeptPending:
    """What spoke and is not in the inventory. Any thread and process may use it.

    Args:
        tables: of the inventory.
        devices: asks for the devices that are in it.
    """

    def __init__(self, tables: Tables, devices: Callable[[], Sequence[DeviceConfigured]]) -> None:
        self._tables, self._devices = tables, devices

    def put(self, devices: Sequence[PendingDevice], topics: Sequence[PendingTopic], follower: str = "") -> None:
        """Replace what ``follower`` knows of devices and topics that wait; followers of long ago are forgotten."""
        newest_ms = max([d.last_ms for d in devices] + [t.last_ms for t in topics], default=0)
        with self._tables.write() as rows:
            for table in ("waiting_devices", "waiting_topics"):
                gone = (follower, newest_ms - PENDING_KEPT_MS)
                rows.execute(f"DELETE FROM {table} WHERE follower = ? OR last_ms < ?", gone)
            for d in devices:
                values: tuple[object, ...] = (follower, d.site_id, d.device_id, d.last_ms, msgspec.json.encode(d))
                rows.execute("INSERT INTO waiting_devices VALUES (?, ?, ?, ?, ?)", values)
            for t in topics:
                values = (follower, t.topic, t.last_ms, msgspec.json.encode(t))
                rows.execute("INSERT INTO waiting_topics VALUES (?, ?, ?, ?)", values)

    def current(self) -> tuple[list[PendingDevice], list[PendingTopic]]:
        """Return devices and topics that wait, the most heard first; of what two followers know, the newer word."""
        with self._tables.read() as rows:
            device_rows = rows.execute("SELECT body FROM waiting_devices ORDER BY last_ms")
            topic_rows = rows.execute("SELECT body FROM waiting_topics ORDER BY last_ms")
        found = [msgspec.json.decode(body, type=PendingDevice) for (body,) in device_rows]
        topics = [msgspec.json.decode(body, type=PendingTopic) for (body,) in topic_rows]
        known = {(d.site_id, d.device_id) for d in self._devices()}
        devices = {(d.site_id, d.device_id): d for d in found if (d.site_id, d.device_id) not in known}
        return (
            sorted(devices.values(), key=lambda d: -d.count),
            sorted({t.topic: t for t in topics}.values(), key=lambda t: -t.count),
        )
