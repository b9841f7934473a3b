"""Which class of device says what, and on which channel. Tables, nothing else."""

from __future__ import annotations

from contracts.events import (
    AccessAttempted,
    BacklogDrained,
    DeviceEvent,
    DeviceReported,
    DeviceStateChanged,
    DoorChanged,
    EnvironmentSampled,
    Event,
    ObjectFell,
    ObjectObserved,
    PassageObserved,
    PowerSampled,
    RowsDropped,
    TagSeen,
)
from contracts.names import Channel, DeviceClass

_Kinds = frozenset[type[Event]]

_LIFE: _Kinds = frozenset({DeviceStateChanged, DeviceReported})
_SEEN: _Kinds = frozenset({PassageObserved, ObjectObserved, ObjectFell})

KINDS_OF_CLASS: dict[DeviceClass, _Kinds] = {
    DeviceClass.GATE: _LIFE | {AccessAttempted, DoorChanged, PassageObserved},
    DeviceClass.CAM: _LIFE | _SEEN,
    DeviceClass.METER: _LIFE | {PowerSampled},
    DeviceClass.SENSOR: _LIFE | {EnvironmentSampled, DoorChanged, PassageObserved, PowerSampled},
    DeviceClass.TAG: _LIFE | {TagSeen},
    DeviceClass.LIFT: _LIFE | {DoorChanged, EnvironmentSampled, ObjectObserved},
    DeviceClass.EDGE: _LIFE | {BacklogDrained, RowsDropped},
}
"""What a device of a class may say of itself. A box speaks for others too, each judged by its own class."""

_ANY: _Kinds = frozenset(DeviceEvent.__args__)

KINDS_OF_CHANNEL: dict[Channel, _Kinds] = {
    Channel.EVT: _ANY,
    Channel.TELE: frozenset({PowerSampled, EnvironmentSampled, TagSeen, DeviceReported}),
    Channel.STATE: frozenset({DeviceStateChanged}),
}
"""What may be said on a channel. Telemetry has no number and may be dropped, so nothing that accuses anyone goes there;
channels that are not listed carry no events."""

INBOUND = frozenset(KINDS_OF_CHANNEL)
"""Channels that devices speak on; the others are ours to them, or answers to commands."""
