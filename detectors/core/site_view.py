"""The site as its rules may see it: configuration records, and the last interruption of ingest, in log order."""

from __future__ import annotations

import datetime
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TypeVar, assert_never
from zoneinfo import ZoneInfo

import msgspec

from contracts.durations import DAY_MS
from contracts.erasure import UNKEYED, Eraser, ReferenceKey, erasure_of
from contracts.events import (
    AnyEvent,
    Configuration,
    ConfigurationRecord,
    ConsentRecorded,
    DeviceConfigured,
    IngestInterrupted,
    PlaceConfigured,
    ReferenceErased,
    SiteConfigured,
    ThresholdConfigured,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.places import Place
from contracts.rules import Threshold
from detectors.core.visitor_index import VisitorIndex

LOOK_MS = 600_000
"""How soon a rule with an open episode looks whether its site is still there: a record of a site names no device.

Sooner would keep a quiet site's snapshot from being quiet.
"""

V = TypeVar("V")
R = TypeVar("R", VisitorRegistered, VehicleRegistered, ConsentRecorded)


def next_look_ms(now_ms: int, since_ms: int) -> int:
    """Return when to look next, while an episode is open since ``since_ms``: the longer it is, the further on.

    The log's time may jump by months. Looks ten minutes apart would then be tens of thousands of each episode, and
    while they go on nothing else is judged; these are some forty in a year.

    >>> next_look_ms(1_000_000, 1_000_000), next_look_ms(8_000_000, 0)
    (1600000, 10000000)
    """
    return now_ms + max(LOOK_MS, (now_ms - since_ms) // 4)


class SiteView(msgspec.Struct, kw_only=True, dict=True):
    """One site's configuration in force. The engine keeps one per lateness group and applies records to
    it; rules only read.

    ``config_version`` is the highest version applied. ``interrupted_from_ms``/``to_ms`` is the newest time in which
    ingest was not listening: absence then proves nothing. ``devices_at`` gives the ids of a place's devices, sorted,
    and ``tags`` the vehicle of a tag; both are derived, so that no rule searches five thousand of them for one event.
    ``gone``: the site itself was taken out of the inventory, whatever else still stands there.
    Two more indices are made when they are first asked for, and are no part of what is stored or compared.
    """

    site_id: str
    name: str = ""
    time_zone: str = "Asia/Shanghai"
    config_version: int = 0
    interrupted_from_ms: int = 0
    interrupted_to_ms: int = 0
    devices: dict[str, DeviceConfigured] = msgspec.field(default_factory=dict)
    devices_at: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    places: dict[str, Place] = msgspec.field(default_factory=dict)
    thresholds: dict[str, float] = msgspec.field(default_factory=dict)
    visitors: dict[str, VisitorRegistered] = msgspec.field(default_factory=dict)
    vehicles: dict[str, VehicleRegistered] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    consents: dict[str, ConsentRecorded] = msgspec.field(default_factory=dict)
    gone: bool = False

    @cached_property
    def _visitors_by_time(self) -> VisitorIndex:
        return VisitorIndex(self.visitors)

    @cached_property
    def _devices_by_building(self) -> dict[str | None, list[DeviceConfigured]]:
        found: dict[str | None, list[DeviceConfigured]] = {}
        for device in self.devices.values():
            place = self.places.get(device.place_id)
            if place is not None:
                found.setdefault(place.building, []).append(device)
        return found

    def devices_in(self, building: str) -> Sequence[DeviceConfigured]:
        """Return the devices whose place says that it lies in this building, in no particular order."""
        return self._devices_by_building.get(building, ())

    def expects_visitors(self, door_id: str, at_ms: int, apart_from: Iterable[str]) -> bool:
        """Return whether somebody is registered to pass the door at ``at_ms`` besides these registrations."""
        known = [visitor for key in apart_from if (visitor := self.visitors.get(key)) is not None]
        return self._visitors_by_time.expected(door_id, at_ms, known)

    def replace_visitors(self, visitors: dict[str, VisitorRegistered]) -> None:
        """Take other registrations in place of all that are there."""
        self.__dict__.pop("_visitors_by_time", None)
        self.visitors = visitors

    def threshold(self, threshold: Threshold) -> float:
        """Return the site's own number for ``threshold``, or its default."""
        return self.thresholds.get(threshold.key, threshold.default) if self.thresholds else threshold.default

    def local_minute_of_day(self, at_ms: int) -> int:
        """Return minutes since local midnight, 0–1439, in the site's time zone."""
        local = datetime.datetime.fromtimestamp(at_ms / 1000, tz=ZoneInfo(self.time_zone))
        return local.hour * 60 + local.minute


def apply_record(view: SiteView, event: AnyEvent, key: ReferenceKey = UNKEYED) -> None:
    """Fold one configuration record or interruption into ``view``; other kinds change nothing. Idempotent by version.

    Expired visitor registrations (a day past their end at the record's time) are dropped, so the view stays bounded.
    """
    if isinstance(event, IngestInterrupted):
        if event.to_ms > view.interrupted_to_ms:
            view.interrupted_from_ms, view.interrupted_to_ms = event.from_ms, event.to_ms
        return
    if isinstance(event, ConfigurationRecord) and event.version > view.config_version:
        _fold(view, event, key)
        view.config_version = event.version


def pass_over(view: SiteView, record: ConfigurationRecord) -> None:
    """Note that ``record`` was met, and change nothing that rules read."""
    view.config_version = max(view.config_version, record.version)


def _fold(view: SiteView, event: Configuration, key: ReferenceKey) -> None:
    match event:
        case SiteConfigured():
            view.name, view.time_zone, view.gone = event.name, event.time_zone, event.removed
        case PlaceConfigured():
            _put(view.places, event.place.place_id, event.place, removed=event.removed)
            view.__dict__.pop("_devices_by_building", None)
        case DeviceConfigured():
            _move(view, view.devices.get(event.device_id), None if event.removed else event)
            _put(view.devices, event.device_id, event, removed=event.removed)
            view.__dict__.pop("_devices_by_building", None)
        case ThresholdConfigured():
            _put(view.thresholds, f"{event.rule}.{event.name}", event.value, removed=event.removed)
        case VisitorRegistered():
            _register(view, event)
        case VehicleRegistered():
            _tag(view, view.vehicles.get(event.vehicle_id), None if event.removed else event)
            _put(view.vehicles, event.vehicle_id, event, removed=event.removed)
        case ConsentRecorded():
            consent = f"{event.subject_ref}/{event.purpose}"
            _put(view.consents, consent, event, removed=event.removed or not event.granted)
        case ReferenceErased():
            _erase(view, Eraser([erasure_of(event)], key))
        case _:
            assert_never(event)


def _put(table: dict[str, V], key: str, value: V, *, removed: bool) -> None:
    if removed:
        table.pop(key, None)
    else:
        table[key] = value


def _register(view: SiteView, event: VisitorRegistered) -> None:
    """Fold a registration in, and drop those that ended more than a day before it."""
    index, key = view._visitors_by_time, event.registration_id
    for ended in index.ended(view.visitors, event.at_ms - DAY_MS):
        index.remove(view.visitors.pop(ended))
    before = view.visitors.get(key)
    if before is not None:
        index.remove(before)
    if not event.removed:
        index.add(event)
    _put(view.visitors, key, event, removed=event.removed)


def _move(view: SiteView, before: DeviceConfigured | None, after: DeviceConfigured | None) -> None:
    """Keep ``devices_at`` true while one device comes, moves or goes."""
    if before is not None:
        here = view.devices_at.get(before.place_id, ())
        place = bisect_left(here, before.device_id)
        rest = here[:place] + here[place + 1 :] if before.device_id in here[place : place + 1] else here
        _put(view.devices_at, before.place_id, rest, removed=not rest)
    if after is not None:
        here = view.devices_at.get(after.place_id, ())
        place = bisect_left(here, after.device_id)
        if after.device_id not in here[place : place + 1]:
            view.devices_at[after.place_id] = (*here[:place], after.device_id, *here[place:])


def _tag(view: SiteView, before: VehicleRegistered | None, after: VehicleRegistered | None) -> None:
    """Keep ``tags`` true while one vehicle comes, changes its tag or goes. A tag belongs to who registered it last."""
    if before is not None and before.tag_id is not None and view.tags.get(before.tag_id) == before.vehicle_id:
        del view.tags[before.tag_id]
    if after is not None and after.tag_id is not None:
        view.tags[after.tag_id] = after.vehicle_id


def _erase(view: SiteView, eraser: Eraser) -> None:
    """Take a reference out of every registration and consent; what is about nothing else goes."""
    kept = ((key, _kept(eraser, row)) for key, row in view.visitors.items())
    view.replace_visitors({key: party for key, party in kept if party is not None})
    view.consents = {key: consent for key, row in view.consents.items() if (consent := _kept(eraser, row)) is not None}
    for vehicle_id, vehicle in list(view.vehicles.items()):
        rest = _kept(eraser, vehicle)
        if rest is not vehicle:
            _tag(view, vehicle, rest)
            _put(view.vehicles, vehicle_id, rest or vehicle, removed=rest is None)


def _kept(eraser: Eraser, row: R) -> R | None:
    kept = eraser.event(row)
    return kept if isinstance(kept, type(row)) else None
