"""Whether the records of an inventory fit together: what one names, another says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from contracts.events import (
    Configuration,
    DeviceConfigured,
    PlaceConfigured,
    ReferenceErased,
    SiteConfigured,
    ThresholdConfigured,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind
from contracts.suggestions import nearest


class Incoherence(msgspec.Struct, frozen=True):
    """A record that names what is not there, or not as it says: the key, what stands there, and what was expected."""

    record: Configuration
    key: str
    value: str
    what: str


class _SiteRecords(msgspec.Struct):
    site_id: str
    named: bool = False
    buildings: bool = False
    places: dict[str, Place] = msgspec.field(default_factory=dict)
    devices: dict[str, DeviceConfigured] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    records: list[Configuration] = msgspec.field(default_factory=list)


def incoherences(records: Iterable[Configuration]) -> list[Incoherence]:
    """Return what does not fit together among ``records``, of which those taken out count as absent."""
    sites: dict[str, _SiteRecords] = {}
    for record in records:
        if not record.removed and not isinstance(record, ReferenceErased):
            _add(sites.setdefault(record.site_id, _SiteRecords(record.site_id)), record)
    return [one for site in sites.values() for record in site.records for one in _of_record(site, record)]


def _add(site: _SiteRecords, record: Configuration) -> None:
    site.records.append(record)
    match record:
        case SiteConfigured():
            site.named = True
        case PlaceConfigured(place=place):
            site.places[place.place_id] = place
            site.buildings = site.buildings or place.kind is PlaceKind.BUILDING
        case DeviceConfigured():
            site.devices[record.device_id] = record
        case VehicleRegistered(tag_id=str() as tag_id):
            site.tags.setdefault(tag_id, record.vehicle_id)
        case _:
            pass


def _of_record(site: _SiteRecords, record: Configuration) -> Iterator[Incoherence]:
    if not site.named:
        text = f"site {site.site_id!r} has no [[site]] table, here or in the inventory; expected one with its name"
        yield Incoherence(record, "site_id", site.site_id, text)
    for key, value in _places_named(site, record):
        if value not in site.places and value != site.site_id:
            yield Incoherence(record, key, value, _nowhere(key, value, site.places, "place"))
    match record:
        case PlaceConfigured(place=place):
            yield from _round(site, record, place)
        case DeviceConfigured(box_id=str() as box_id):
            yield from _box(site, record, box_id)
        case VehicleRegistered(tag_id=str() as tag_id) if site.tags[tag_id] != record.vehicle_id:
            text = f"tag_id = {tag_id!r} is on vehicle {site.tags[tag_id]!r} already; expected each on one"
            yield Incoherence(record, "tag_id", tag_id, text)
        case _:
            pass


def _places_named(site: _SiteRecords, record: Configuration) -> list[tuple[str, str]]:
    """Return the key and id of each place that a record names. Units and rooms are names, and so are buildings where
    none is a place.
    """
    named: list[tuple[str, str | None]] = []
    match record:
        case PlaceConfigured(place=place):
            named = [("parent_id", place.parent_id), ("building", place.building if site.buildings else None)]
        case DeviceConfigured() | ThresholdConfigured():
            named = [("place_id", record.place_id)]
        case VisitorRegistered():
            named = [("host_place_id", record.host_place_id), *(("door_ids", door) for door in record.door_ids)]
        case VehicleRegistered():
            named = [("home_place_id", record.home_place_id)]
        case _:
            pass
    return [(key, value) for key, value in named if value]


def _nowhere(key: str, value: str, known: Iterable[str], what: str) -> str:
    close = nearest(value, known)
    guess = f"; did you mean {close!r}?" if close else f"; expected the id of a [[{what}]] of this site"
    return f"{key} = {value!r}: there is no such {what}{guess}"


def _round(site: _SiteRecords, record: Configuration, place: Place) -> Iterator[Incoherence]:
    """Yield a place whose parents come back to it."""
    if place.parent_id is None:
        return
    if place.parent_id == place.place_id:
        text = f"parent_id = {place.place_id!r} is the place itself; expected the place around it"
        yield Incoherence(record, "parent_id", place.place_id, text)
        return
    path = [place.place_id]
    parent = site.places.get(place.parent_id)
    while parent is not None and parent.place_id not in path:
        path.append(parent.place_id)
        parent = site.places.get(parent.parent_id or "")
    if parent is not None and parent.place_id == place.place_id:
        way = " → ".join([*path, place.place_id])
        text = f"parent_id = {place.parent_id!r}: the places around it come back to it ({way})"
        yield Incoherence(record, "parent_id", place.parent_id, f"{text}; expected an end at the site")


def _box(site: _SiteRecords, record: DeviceConfigured, box_id: str) -> Iterator[Incoherence]:
    box = site.devices.get(box_id)
    if record.device_class is DeviceClass.EDGE:
        text = f"box_id = {box_id!r}: {record.device_id!r} is a box itself; expected no box_id"
    elif box is None:
        boxes = [device.device_id for device in site.devices.values() if device.device_class is DeviceClass.EDGE]
        text = _nowhere("box_id", box_id, boxes, "device")
    elif box.device_class is not DeviceClass.EDGE:
        text = f"box_id = {box_id!r} is of class {box.device_class}; expected a device of class {DeviceClass.EDGE}"
    else:
        return
    yield Incoherence(record, "box_id", box_id, text)
