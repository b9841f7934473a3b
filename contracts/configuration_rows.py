"""Which row of the tables people edit a configuration record is a version of."""

from __future__ import annotations

from contracts.errors import ConfigurationError
from contracts.events import (
    ConfigurationRecord,
    ConsentRecorded,
    DeviceConfigured,
    PlaceConfigured,
    ReferenceErased,
    SiteConfigured,
    ThresholdConfigured,
    VehicleRegistered,
    VisitorRegistered,
)


def row_key(record: ConfigurationRecord) -> str:
    """Return what a record is about: two records of a kind with the same key are versions of one row."""
    key = record.site_id
    match record:
        case SiteConfigured():
            pass
        case PlaceConfigured():
            key = record.place.place_id
        case DeviceConfigured():
            key = record.device_id
        case ThresholdConfigured():
            key = f"{record.rule}.{record.name}"
        case VisitorRegistered():
            key = record.registration_id
        case VehicleRegistered():
            key = record.vehicle_id
        case ConsentRecorded():
            key = f"{record.subject_ref}/{record.purpose}"
        case ReferenceErased():
            key = f"{record.reference}/{record.digest}"
        case _:
            raise ConfigurationError(f"{type(record).__name__} is no configuration record")
    return key
