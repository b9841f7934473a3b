"""Whether a record may be written into the inventory."""

from __future__ import annotations

import zoneinfo

import msgspec

from contracts.configuration_rows import row_key
from contracts.errors import ConfigurationError, Rejected
from contracts.events import (
    ConfigurationRecord,
    ConsentRecorded,
    DeviceConfigured,
    PlaceConfigured,
    SiteConfigured,
    ThresholdConfigured,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.names import check_id
from inventory.threshold_check import check_threshold

MAX_RECORD_BYTES = 4096
_ENCODER = msgspec.msgpack.Encoder()


def check_record(record: ConfigurationRecord) -> None:
    """Raise unless the record may be written.

    Raises:
        ConfigurationError: saying which record, which value, and what was expected.
    """
    key = row_key(record)
    where = f"{type(record).__name__} {key!r} of site {record.site_id!r}"
    try:
        for what, value in _ids_of(record):
            check_id(value, what)
    except Rejected as error:
        raise ConfigurationError(f"{where}: {error.detail}") from None
    size = len(_ENCODER.encode(record))
    if size > MAX_RECORD_BYTES:
        raise ConfigurationError(f"{where}: {size} bytes, expected at most {MAX_RECORD_BYTES}")
    if isinstance(record, SiteConfigured) and record.time_zone not in zoneinfo.available_timezones():
        raise ConfigurationError(f"{where}: time zone {record.time_zone!r} is unknown; expected one like Asia/Shanghai")
    if isinstance(record, ThresholdConfigured):
        check_threshold(record, where)


def _ids_of(record: ConfigurationRecord) -> list[tuple[str, str]]:
    ids = [("site_id", record.site_id), ("place_id", record.place_id)]
    match record:
        case PlaceConfigured(place=place):
            parts = {"place_id": place.place_id, "parent_id": place.parent_id, "building": place.building}
            parts |= {"unit": place.unit, "room": place.room}
            ids += [(name, value) for name, value in parts.items() if value is not None]
        case DeviceConfigured():
            ids += [("device_id", record.device_id)] + [("box_id", b) for b in (record.box_id,) if b is not None]
        case ThresholdConfigured():
            ids += [("rule", record.rule)]
        case VisitorRegistered():
            ids += [("host_place_id", record.host_place_id)] + [("door_ids", d) for d in record.door_ids]
        case VehicleRegistered():
            ids += [("vehicle_id", record.vehicle_id)]
            ids += [(n, v) for n, v in (("tag_id", record.tag_id), ("home", record.home_place_id)) if v is not None]
        case ConsentRecorded():
            ids += [("purpose", record.purpose)]
        case _:
            pass
    return ids
