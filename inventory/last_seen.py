"""When each device was last heard: what is known of its life, who asks for it, and a table that listens to events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from contracts.batch import Batch
from contracts.events import (
    CONFIG_SOURCE,
    EVENT_TYPES,
    INGEST_SOURCE,
    ClockStepped,
    DeviceReported,
    DeviceStateChanged,
    Event,
)


class LastSeen(msgspec.Struct, frozen=True):
    """What is known of a device's life. ``online`` None: it never said. ``last_kind``: of the event it said last."""

    last_heard_ms: int | None = None
    online: bool | None = None
    healthy: bool | None = None
    last_kind: str = ""


_NEVER = LastSeen()
_KINDS = {kind: name for name, kind in EVENT_TYPES.items()}


class DeviceHealth(Protocol):
    """When devices were last heard."""

    def last_seen(self, site_id: str) -> Mapping[str, LastSeen]:
        """Return device_id → what is known; devices never heard may be missing."""
        ...


class MemoryHealth:
    """A :class:`DeviceHealth` that is told; for tests, and for wiring that already keeps such a table."""

    def __init__(self) -> None:
        self._heard: dict[str, dict[str, LastSeen]] = {}

    def tell(self, site_id: str, device_id: str, heard: LastSeen) -> None:
        """Replace what is known of one device."""
        self._heard.setdefault(site_id, {})[device_id] = heard

    def last_seen(self, site_id: str) -> Mapping[str, LastSeen]:
        """See :class:`DeviceHealth`."""
        return dict(self._heard.get(site_id, {}))


class LastSeenTable:
    """A :class:`DeviceHealth` that listens to events, kept in memory; a ``LastSeenKeeper`` keeps it on disk."""

    def __init__(self) -> None:
        self._sites: dict[str, dict[str, LastSeen]] = {}

    def last_seen(self, site_id: str) -> Mapping[str, LastSeen]:
        """See :class:`DeviceHealth`."""
        return dict(self._sites.get(site_id, {}))

    def known(self) -> dict[tuple[str, str], LastSeen]:
        """Return (site, device) → what is known, of all."""
        tables = [(site_id, dict(table)) for site_id, table in list(self._sites.items())]
        return {(site_id, name): heard for site_id, table in tables for name, heard in table.items()}

    def take(self, kept: Mapping[tuple[str, str], LastSeen]) -> None:
        """Take over what was kept, before anything is heard."""
        for (site_id, device_id), heard in kept.items():
            self._sites.setdefault(site_id, {})[device_id] = heard

    def hear(self, batch: Batch) -> None:
        """Note what the events of ``batch`` say of their devices' lives."""
        for event in batch.events:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if type(event) is ClockStepped and event.shift_ms < 0:
            self._never_later(event.site_id, event.received_ms)
        if event.source_id in {CONFIG_SOURCE, INGEST_SOURCE}:
            return
        devices = self._sites.setdefault(event.site_id, {})
        devices[event.source_id] = last_seen_after(devices.get(event.source_id, _NEVER), event)
        if event.spool is not None and event.spool.box_id != event.source_id:
            devices[event.spool.box_id] = last_seen_after(devices.get(event.spool.box_id, _NEVER), event, itself=False)

    def _never_later(self, site_id: str, now_ms: int) -> None:
        """Take that the log's time has gone back to ``now_ms``: what was heard on the time before was heard by then."""
        for device_id, heard in self._sites.get(site_id, {}).items():
            if heard.last_heard_ms is not None and heard.last_heard_ms > now_ms:
                self._sites[site_id][device_id] = msgspec.structs.replace(heard, last_heard_ms=now_ms)


def last_seen_after(before: LastSeen, event: Event, *, itself: bool = True) -> LastSeen:
    """Return what is known of a device after ``event``; ``itself`` False when it only carried another's words."""
    last_ms = max(before.last_heard_ms or 0, event.received_ms)
    if not itself:
        return LastSeen(last_ms, True, before.healthy, before.last_kind)  # noqa: FBT003 - online
    online = event.online if type(event) is DeviceStateChanged else True
    healthy = event.healthy if type(event) is DeviceReported else before.healthy
    kind = _KINDS.get(type(event)) or str(type(event).__struct_config__.tag)  # also one that this program cannot read
    return LastSeen(last_ms, online, healthy, kind)
