"""What incidents need to know of a site: its time zone, its places and its devices; a port and its in-memory form."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from contracts.events import ConfigurationRecord, DeviceConfigured, PlaceConfigured, SiteConfigured
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind
from inventory.notices import DeviceNotice

DEFAULT_TIME_ZONE = "Asia/Shanghai"
_MAX_DEPTH = 12  # site, building, unit, floor, room, door leave room; a cycle in the table must end


class SiteDirectory(Protocol):
    """Names and places of sites. Unknown ids give None or a default, never an error: an incident must not wait."""

    def sites(self) -> list[str]:
        """Return every site's id, sorted."""
        ...

    def site_name(self, site_id: str) -> str:
        """Return the site's name, or its id when it has none."""
        ...

    def time_zone(self, site_id: str) -> str:
        """Return the site's IANA time zone, Asia/Shanghai when unknown."""
        ...

    def place(self, site_id: str, place_id: str) -> Place | None:
        """Return one place, or None."""
        ...

    def device(self, site_id: str, device_id: str) -> DeviceConfigured | None:
        """Return one device, or None."""
        ...

    def devices(self, site_id: str) -> list[DeviceConfigured]:
        """Return the site's devices, sorted by id."""
        ...

    def has_box(self, site_id: str, box_id: str) -> bool:
        """Return whether the site is there, and the box is one of its devices; neither may have been taken out."""
        ...

    def notices(self, site_id: str, device_id: str) -> Sequence[DeviceNotice]:
        """Return what ingest noticed of a device."""
        ...


class _Site(msgspec.Struct):
    name: str = ""
    time_zone: str = DEFAULT_TIME_ZONE
    removed: bool = False
    places: dict[str, Place] = msgspec.field(default_factory=dict)
    devices: dict[str, DeviceConfigured] = msgspec.field(default_factory=dict)


class MemoryDirectory:
    """A :class:`SiteDirectory` folded from configuration records, in their order.

    One thread applies records while others read: reads take a copy, single look-ups need none.
    """

    def __init__(self, records: Iterable[ConfigurationRecord] = ()) -> None:
        self._lock = threading.Lock()
        self._sites: dict[str, _Site] = {}
        self._notices: dict[tuple[str, str], list[DeviceNotice]] = {}
        for record in records:
            self.apply(record)

    def apply(self, record: ConfigurationRecord) -> None:
        """Fold one record in; kinds that are not about places or devices change nothing."""
        with self._lock:
            self._fold(self._sites.setdefault(record.site_id, _Site()), record)

    def _fold(self, site: _Site, record: ConfigurationRecord) -> None:
        match record:
            case SiteConfigured():
                site.name, site.time_zone, site.removed = record.name, record.time_zone, record.removed
            case PlaceConfigured(removed=True):
                site.places.pop(record.place.place_id, None)
            case PlaceConfigured():
                site.places[record.place.place_id] = record.place
            case DeviceConfigured(removed=True):
                site.devices.pop(record.device_id, None)
            case DeviceConfigured():
                site.devices[record.device_id] = record
            case _:
                pass

    def sites(self) -> list[str]:
        """See :class:`SiteDirectory`."""
        with self._lock:
            return sorted(self._sites)

    def site_name(self, site_id: str) -> str:
        """See :class:`SiteDirectory`."""
        return self._site(site_id).name or site_id

    def time_zone(self, site_id: str) -> str:
        """See :class:`SiteDirectory`."""
        return self._site(site_id).time_zone

    def place(self, site_id: str, place_id: str) -> Place | None:
        """See :class:`SiteDirectory`."""
        return self._site(site_id).places.get(place_id)

    def device(self, site_id: str, device_id: str) -> DeviceConfigured | None:
        """See :class:`SiteDirectory`."""
        return self._site(site_id).devices.get(device_id)

    def devices(self, site_id: str) -> list[DeviceConfigured]:
        """See :class:`SiteDirectory`."""
        with self._lock:
            devices = dict(self._site(site_id).devices)
        return [devices[device_id] for device_id in sorted(devices)]

    def has_box(self, site_id: str, box_id: str) -> bool:
        """See :class:`SiteDirectory`."""
        site = self._site(site_id)
        box = site.devices.get(box_id)
        return box is not None and box.device_class is DeviceClass.EDGE and not site.removed

    def set_notices(self, notices: Iterable[DeviceNotice]) -> None:
        """Replace what ingest noticed of devices."""
        found: dict[tuple[str, str], list[DeviceNotice]] = {}
        for one in notices:
            found.setdefault((one.site_id, one.device_id), []).append(one)
        self._notices = found

    def notices(self, site_id: str, device_id: str) -> Sequence[DeviceNotice]:
        """See :class:`SiteDirectory`."""
        return self._notices.get((site_id, device_id), ())

    def _site(self, site_id: str) -> _Site:
        return self._sites.get(site_id) or _Site()


def place_path(directory: SiteDirectory, site_id: str, place_id: str) -> list[Place]:
    """Return the place and what it lies in, outermost first, without the site itself; empty when unknown."""
    path: list[Place] = []
    place = directory.place(site_id, place_id)
    while place is not None and place.kind is not PlaceKind.SITE and len(path) < _MAX_DEPTH:
        path.append(place)
        place = directory.place(site_id, place.parent_id) if place.parent_id else None
    return path[::-1]


def building_of(directory: SiteDirectory, site_id: str, place_id: str) -> str | None:
    """Return the id of the building that the place is or lies in, or None."""
    for place in place_path(directory, site_id, place_id):
        if place.kind is PlaceKind.BUILDING:
            return place.place_id
        if place.building:
            return place.building
    return None


def zone_of(directory: SiteDirectory, site_id: str) -> ZoneInfo:
    """Return the site's time zone; for one that does not exist the default, since an incident must not wait for it."""
    try:
        return ZoneInfo(directory.time_zone(site_id))
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(DEFAULT_TIME_ZONE)


def site_day(directory: SiteDirectory, site_id: str, at_ms: int) -> str:
    """Return the day ``YYYYMMDD`` in site time."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, tz=zone_of(directory, site_id)).strftime("%Y%m%d")
