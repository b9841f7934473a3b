"""Deduplication of one site: what it has taken. The engine drops duplicates, since it alone knows the log.

See docs/protocol.md#duplicates.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from contracts.durations import DAY_MS
from contracts.events import (
    ConfigurationRecord,
    DeviceConfigured,
    DeviceReported,
    EnvironmentSampled,
    Event,
    PowerSampled,
)
from streams.engine.configuration_marks import ConfigurationMarks, ConfigurationRow

MAX_IDS = 64
"""Ids remembered a source, by count."""
ID_BYTES = 8
MAX_LANES = 8
"""Lanes remembered a box: the two of its last four spools. A reflashed box has a new spool."""
REMOVED_MS = 31 * DAY_MS
"""How long the marks of a removed device stay: ingest refuses what is more than 30 days old, so longer than anything of
it may come again."""
MAX_REMOVED = 500
"""Removed devices of a site whose marks stay, by count."""

TELEMETRY: tuple[type[Event], ...] = (PowerSampled, EnvironmentSampled, DeviceReported)
"""Kinds sent as ``tele`` (QoS 0) when they carry neither spool nor seq: a repeated reading changes nothing."""


R = TypeVar("R", bound=ConfigurationRecord)


class LaneMark(msgspec.Struct, frozen=True, array_like=True):
    """The highest ``seq`` taken of one lane of one spool."""

    spool_id: str
    lane: str
    seq: int


class DedupRow(msgspec.Struct, frozen=True, array_like=True):
    """The marks as a snapshot keeps them; ``ids`` are packed to 8 bytes each, oldest first.

    ``removed``: device → when it was removed, the first one first. ``configuration`` None: of an earlier version.
    """

    config_version: int
    ids: dict[str, bytes]
    lanes: dict[str, tuple[LaneMark, ...]]
    configuration: ConfigurationRow | None = None
    removed: dict[str, int] = {}


def is_telemetry(event: Event) -> bool:
    """Return whether ``event`` has no identity to dedupe by, as ``tele`` has none. An alarm is more than telemetry."""
    if event.seq is not None or event.spool is not None or not isinstance(event, TELEMETRY):
        return False
    return not (isinstance(event, EnvironmentSampled) and event.alarm)


class Deduplicator:
    """The events that one site has taken, to recognise duplicates."""

    __slots__ = ("_configuration", "_ids", "_lanes", "_removed")

    def __init__(self, row: DedupRow | None = None) -> None:
        self._configuration = ConfigurationMarks(row.config_version if row else 0, row.configuration if row else None)
        self._removed = dict(row.removed) if row else {}
        self._ids: dict[str, dict[bytes, None]] = {}
        self._lanes: dict[str, dict[tuple[str, str], int]] = {}
        if row is not None:
            self._ids = {source: dict.fromkeys(_unpack(packed)) for source, packed in row.ids.items()}
            self._lanes = {
                box: {(mark.spool_id, mark.lane): mark.seq for mark in marks} for box, marks in row.lanes.items()
            }

    def row(self) -> DedupRow:
        """Return the marks for a snapshot."""
        return DedupRow(
            self._configuration.version,
            {source: b"".join(ids) for source, ids in self._ids.items()},
            {box: tuple(LaneMark(*lane, seq) for lane, seq in lanes.items()) for box, lanes in self._lanes.items()},
            self._configuration.row(),
            dict(self._removed),
        )

    def is_new(self, event: Event) -> bool:
        """Return whether ``event`` was not taken before; marks it as taken."""
        if event.spool is not None:
            return self._is_new_row(event)
        if isinstance(event, ConfigurationRecord):
            return self._is_new_record(event)
        return is_telemetry(event) or self._is_new_id(event)

    def _is_new_row(self, event: Event) -> bool:
        spool = event.spool
        assert spool is not None
        lanes = self._lanes.get(spool.box_id)
        if lanes is None:
            lanes = self._lanes[spool.box_id] = {}
        lane = (spool.spool_id, spool.lane.value)
        if spool.seq <= lanes.get(lane, -1):
            return False
        lanes[lane] = spool.seq
        if len(lanes) > MAX_LANES:
            del lanes[next(iter(lanes))]
        return True

    def numbered(self, record: R) -> R:
        """Return the configuration record that was taken last with its number in this site."""
        return self._configuration.numbered(record)

    def _is_new_record(self, record: ConfigurationRecord) -> bool:
        if not self._configuration.is_new(record):
            return False
        if isinstance(record, DeviceConfigured):
            self._removed.pop(record.device_id, None)
            if record.removed:
                self._removed[record.device_id] = record.at_ms
            self._forget_removed(record.at_ms)
        return True

    def _forget_removed(self, now_ms: int) -> None:
        """Let go of marks that nothing can be compared with any more, and of the oldest over a bound."""
        while self._removed:
            device_id, removed_ms = next(iter(self._removed.items()))
            if removed_ms > now_ms - REMOVED_MS and len(self._removed) <= MAX_REMOVED:
                return
            del self._removed[device_id]
            self._ids.pop(device_id, None)
            self._lanes.pop(device_id, None)

    def _is_new_id(self, event: Event) -> bool:
        ids = self._ids.get(event.source_id)
        if ids is None:
            ids = self._ids[event.source_id] = {}
        mark = hashlib.blake2b(event.event_id.encode(), digest_size=ID_BYTES).digest()
        if mark in ids:
            return False
        ids[mark] = None
        if len(ids) > MAX_IDS:
            del ids[next(iter(ids))]
        return True


def _unpack(packed: bytes) -> list[bytes]:
    return [packed[n : n + ID_BYTES] for n in range(0, len(packed), ID_BYTES)]
