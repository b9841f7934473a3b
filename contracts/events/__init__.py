"""Events: what a device, a box or ingest itself says happened. Past tense, immutable, one struct per kind.

On the wire (``linli/v1/…``, UTF-8 JSON, one event a message) an event is exactly this struct with its ``kind`` tag;
``received_ms`` and ``device_at_ms`` are set by ingest and ignored when a device sends them. Readers ignore unknown
fields, so names, id numbers and pictures that a device adds never get past the decoder.
"""

from __future__ import annotations

from contracts.events.access import AccessAttempted, Credential, Direction, DoorChanged, DoorState, PassageObserved
from contracts.events.configuration import (
    ConfigurationRecord,
    ConsentRecorded,
    DeviceConfigured,
    PlaceConfigured,
    ReferenceErased,
    ReferenceKind,
    SiteConfigured,
    ThresholdConfigured,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.events.devices import (
    BacklogDrained,
    CameraImpairment,
    ClockStepped,
    DeviceReported,
    DeviceStateChanged,
    IngestInterrupted,
    RowsDropped,
)
from contracts.events.envelope import (
    EVENT_VERSION,
    DurationMs,
    Event,
    EventHeader,
    EvidenceRef,
    Lane,
    Ms,
    Origin,
    PersonRef,
    Score,
    Seq,
    Sha256,
    ShortText,
    SpoolMark,
    event_header,
)
from contracts.events.environment import EnvironmentSampled
from contracts.events.objects import ObjectFell, ObjectLabel, ObjectObserved, TagSeen, TrackPhase
from contracts.events.power import PowerSampled

__all__ = [
    "CONFIG_SOURCE",
    "EVENT_TYPES",
    "EVENT_VERSION",
    "INGEST_SOURCE",
    "LIFE_SAFETY_KINDS",
    "RECORD_TYPES",
    "AccessAttempted",
    "AnyEvent",
    "BacklogDrained",
    "CameraImpairment",
    "ClockStepped",
    "Configuration",
    "ConfigurationRecord",
    "ConsentRecorded",
    "Credential",
    "DeviceConfigured",
    "DeviceEvent",
    "DeviceReported",
    "DeviceStateChanged",
    "Direction",
    "DoorChanged",
    "DoorState",
    "DurationMs",
    "EnvironmentSampled",
    "Event",
    "EventHeader",
    "EvidenceRef",
    "IngestEvent",
    "IngestInterrupted",
    "Lane",
    "Ms",
    "ObjectFell",
    "ObjectLabel",
    "ObjectObserved",
    "Origin",
    "PassageObserved",
    "PersonRef",
    "PlaceConfigured",
    "PowerSampled",
    "ReferenceErased",
    "ReferenceKind",
    "RowsDropped",
    "Score",
    "Seq",
    "Sha256",
    "ShortText",
    "SiteConfigured",
    "SpoolMark",
    "TagSeen",
    "ThresholdConfigured",
    "TrackPhase",
    "VehicleRegistered",
    "VisitorRegistered",
    "event_header",
    "is_life_safety",
]

DeviceEvent = (
    AccessAttempted
    | DoorChanged
    | PassageObserved
    | ObjectObserved
    | ObjectFell
    | PowerSampled
    | EnvironmentSampled
    | TagSeen
    | DeviceStateChanged
    | DeviceReported
    | BacklogDrained
    | RowsDropped
)
"""What a device or box may send; everything else is written by ingest alone."""

IngestEvent = IngestInterrupted | ClockStepped

Configuration = (
    SiteConfigured
    | PlaceConfigured
    | DeviceConfigured
    | ThresholdConfigured
    | VisitorRegistered
    | VehicleRegistered
    | ConsentRecorded
    | ReferenceErased
)

AnyEvent = DeviceEvent | IngestEvent | Configuration
"""Every kind that may stand in the log."""

EVENT_TYPES: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__}
"""kind → struct."""

RECORD_TYPES = frozenset(kind for kind in EVENT_TYPES.values() if issubclass(kind, ConfigurationRecord))
"""Those that record configuration. To ask whether a class is among them takes a fifth of ``isinstance`` of a struct."""

CONFIG_SOURCE = "config"
"""``source_id`` of configuration records."""

INGEST_SOURCE = "ingest"
"""``source_id`` of what ingest says of itself."""

LIFE_SAFETY_KINDS: tuple[type[Event], ...] = (EnvironmentSampled, ObjectFell)
"""Kinds whose batch is flushed at once (EnvironmentSampled only with ``alarm``)."""


def is_life_safety(event: Event) -> bool:
    """Return whether the writer must flush its batch at once for this event."""
    return type(event) is ObjectFell or (type(event) is EnvironmentSampled and event.alarm)
