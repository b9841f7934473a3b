"""Whether a record may be written into the inventory. Pure."""

from __future__ import annotations

import zoneinfo

import msgspec

from contracts.configuration_rows import row_key
from contracts.errors import ConfigurationError
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
from contracts.names import is_id
from inventory.faults import RecordFault
from inventory.threshold_check import threshold_fault

MAX_RECORD_BYTES = 4096
_NOWHERE = {"Factory", "localtime"}
"""Names of the time zones' files that are no place's."""
ID_WORDS = "at most 40 small letters, digits, - and _, with a letter or digit first"
_ENCODER = msgspec.msgpack.Encoder()


def check_record(record: ConfigurationRecord) -> None:
    """Raise unless the record may be written.

    Raises:
        ConfigurationError: saying which record, which value, and what was expected.
    """
    wrong = faults_of_record(record)
    if wrong:
        where = f"{type(record).__name__} {row_key(record)!r} of site {record.site_id!r}"
        raise ConfigurationError(f"{where}: {'; '.join(one.what for one in wrong)}")


def faults_of_record(record: ConfigurationRecord) -> list[RecordFault]:
    """Return all that is wrong with a record by itself."""
    found = [
        RecordFault(key, f"{key} {value[:60]!r} is no id; expected {ID_WORDS}")
        for key, value in _ids_of(record)
        if not is_id(value)
    ]
    try:
        size = len(_ENCODER.encode(record))
    except (OverflowError, UnicodeEncodeError) as error:
        return [
            *found,
            RecordFault("", f"it holds what cannot be kept ({error}); expected numbers of at most 18 digits"),
        ]
    if size > MAX_RECORD_BYTES:
        found.append(RecordFault("", f"{size} bytes, expected at most {MAX_RECORD_BYTES}"))
    if isinstance(record, SiteConfigured) and record.time_zone not in zoneinfo.available_timezones() - _NOWHERE:
        text = f"time zone {record.time_zone!r} is unknown; expected one like Asia/Shanghai"
        found.append(RecordFault("time_zone", text))
    if isinstance(record, ThresholdConfigured) and (wrong := threshold_fault(record)) is not None:
        found.append(wrong)
    return found


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
            may = {"tag_id": record.tag_id, "home_place_id": record.home_place_id}
            ids += [(name, value) for name, value in may.items() if value is not None]
        case ConsentRecorded():
            ids += [("purpose", record.purpose)]
        case _:
            pass
    return ids
