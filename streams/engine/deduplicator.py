"""Deduplication of one site: what it has taken. The engine drops duplicates, since it alone knows the log.

See docs/protocol.md#duplicates and docs/adr/0021-an-id-alone-is-no-identity.md.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Sequence
from typing import TypeVar
from zlib import adler32, crc32

import msgspec

from contracts.durations import DAY_MS
from contracts.events import (
    EVENT_TYPES,
    RECORD_TYPES,
    ConfigurationRecord,
    DeviceConfigured,
    DeviceReported,
    EnvironmentSampled,
    Event,
    PowerSampled,
)
from contracts.events.identity import IN_FLIGHT, SETTLED, content_marks, told_apart
from streams.engine.configuration_marks import ConfigurationMarks, ConfigurationRow

MAX_IDS = 64
"""Ids remembered a source, by count; beyond the site's last :data:`IN_FLIGHT`."""
ID_BYTES = 8
MAX_LANES = 8
"""Lanes remembered a box: the two of its last four spools. A reflashed box has a new spool."""
REMOVED_MS = 31 * DAY_MS
"""How long the marks of a removed device stay: ingest refuses what is more than 30 days old, so longer than anything of
it may come again."""
MAX_REMOVED = 500
"""Removed devices of a site whose marks stay, by count; beyond those among the site's last :data:`IN_FLIGHT` ids."""

TELEMETRY: frozenset[type[Event]] = frozenset({PowerSampled, EnvironmentSampled, DeviceReported})
"""Kinds sent as ``tele`` (QoS 0) when they carry neither spool nor seq: a repeated reading changes nothing."""

E = TypeVar("E", bound=Event)
R = TypeVar("R", bound=ConfigurationRecord)


class LaneMark(msgspec.Struct, frozen=True, array_like=True):
    """The highest ``seq`` taken of one lane of one spool."""

    spool_id: str
    lane: str
    seq: int


class IdMarks(msgspec.Struct, frozen=True, array_like=True):
    """The ids taken of one source, oldest first: 8 bytes each for the id, and 4 for what was said under it."""

    ids: bytes
    contents: bytes


class DedupRow(msgspec.Struct, frozen=True, array_like=True):
    """The marks as a snapshot keeps them.

    ``ids`` are what earlier versions took, 8 bytes each without their contents; ``marks`` are ours. Whose the site's
    last ids were stands in ``recent``, oldest first, by places in ``marks``. ``content_schema`` says which fields
    contents were worked out from; of others nothing is known. An event up to ``unknown_until_ms`` whose id is known,
    and its content is not, counts as sent again. ``removed``: device → when it was, the first one first.
    ``configuration`` None: of an earlier version. ``shifted_ms``: by how much the log's time moved last.
    """

    config_version: int
    ids: dict[str, bytes]
    lanes: dict[str, tuple[LaneMark, ...]]
    configuration: ConfigurationRow | None = None
    removed: dict[str, int] = {}
    marks: dict[str, IdMarks] = {}
    recent: tuple[int, ...] = ()
    content_schema: int = 0
    unknown_until_ms: int = 0
    shifted_ms: int = 0


def _schema() -> int:
    fields = [(kind, EVENT_TYPES[kind].__struct_fields__) for kind in sorted(EVENT_TYPES)]
    return crc32(msgspec.json.encode((sorted(SETTLED), fields)))


CONTENT_SCHEMA = _schema()
"""Other fields of events give other contents: a snapshot of another schema has ids, and says nothing of contents."""


def is_telemetry(event: Event) -> bool:
    """Return whether ``event`` has no identity to dedupe by, as ``tele`` has none. An alarm is more than telemetry."""
    if event.seq is not None or event.spool is not None or event.__class__ not in TELEMETRY:
        return False
    return not (event.__class__ is EnvironmentSampled and event.alarm)


class _Source:
    """What was taken of one source: id → content (0: not known), oldest first; ``recent`` of the site's last."""

    __slots__ = ("recent", "taken")

    def __init__(self, taken: dict[int, int]) -> None:
        self.taken = taken
        self.recent = 0

    def trim(self) -> None:
        while len(self.taken) > MAX_IDS and len(self.taken) > self.recent:
            del self.taken[next(iter(self.taken))]


class Deduplicator:
    """The events that one site has taken, to recognise duplicates.

    Args:
        row: the marks of a snapshot.
        newest_ms: the newest time that the snapshot's site knows of, for a row whose contents say nothing to us.
    """

    __slots__ = (
        "_before",
        "_configuration",
        "_lanes",
        "_recent",
        "_removed",
        "_shifted_ms",
        "_sources",
        "_unknown_until_ms",
    )

    def __init__(self, row: DedupRow | None = None, newest_ms: int = 0) -> None:
        row = row or DedupRow(0, {}, {}, content_schema=CONTENT_SCHEMA)
        known = row.content_schema == CONTENT_SCHEMA
        self._configuration = ConfigurationMarks(row.config_version, row.configuration)
        self._before = {source_id: list(_cut(packed)) for source_id, packed in row.ids.items() if packed}
        self._lanes: dict[str, dict[tuple[str, str], int]] = {
            box: {(mark.spool_id, mark.lane): mark.seq for mark in marks} for box, marks in row.lanes.items()
        }
        self._sources = {source_id: _Source(_unpacked(marks, known=known)) for source_id, marks in row.marks.items()}
        self._unknown_until_ms = row.unknown_until_ms if known else max(row.unknown_until_ms, newest_ms)
        self._removed, self._shifted_ms = dict(row.removed), row.shifted_ms
        sources = list(self._sources.values())
        self._recent = deque(sources[number] for number in row.recent)
        for source in self._recent:
            source.recent += 1

    def row(self) -> DedupRow:
        """Return the marks for a snapshot."""
        number_of = {id(source): number for number, source in enumerate(self._sources.values())}
        return DedupRow(
            self._configuration.version,
            {source_id: b"".join(marks) for source_id, marks in self._before.items()},
            {box: tuple(LaneMark(*lane, seq) for lane, seq in lanes.items()) for box, lanes in self._lanes.items()},
            self._configuration.row(),
            dict(self._removed),
            {source_id: _packed(source.taken) for source_id, source in self._sources.items()},
            tuple(number_of[id(source)] for source in self._recent),
            CONTENT_SCHEMA,
            self._unknown_until_ms,
            self._shifted_ms,
        )

    def take(self, event: E) -> E | None:
        """Return ``event`` to be judged, marked as taken; None when it was taken before.

        One whose id was taken before for something else is given an id of its own: findings are named after ids.
        """
        kind = event.__class__
        if event.spool is not None:
            return event if self._is_new_row(event) else None
        if kind in TELEMETRY:
            return event if is_telemetry(event) else self._take_named(event)
        if kind in RECORD_TYPES and isinstance(event, ConfigurationRecord):
            return event if self._is_new_record(event) else None
        return self._take_named(event)

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

    def shift(self, by_ms: int) -> None:
        """Take that the log's time moves by ``by_ms``: what was removed was removed as long ago as before."""
        self._removed = {device_id: removed_ms + by_ms for device_id, removed_ms in self._removed.items()}
        self._unknown_until_ms += by_ms if self._unknown_until_ms else 0
        self._shifted_ms = by_ms

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
        """Let go of marks that nothing can be compared with any more, and of the oldest over a bound.

        Those among the site's last ids stay.
        """
        for device_id, removed_ms in list(self._removed.items()):
            if removed_ms > now_ms - REMOVED_MS and len(self._removed) <= MAX_REMOVED:
                return
            source = self._sources.get(device_id)
            if source is None or not source.recent:
                del self._removed[device_id]
                self._before.pop(device_id, None)
                self._lanes.pop(device_id, None)
                self._sources.pop(device_id, None)

    def _take_named(self, event: E) -> E | None:
        name = event.event_id.encode()
        key = crc32(name) << 32 | adler32(name)
        contents = content_marks(event)
        source = self._sources.get(event.source_id)
        if source is None:
            source = self._sources[event.source_id] = _Source({})
        known = source.taken.get(key)
        if known is None:
            if self._before and self._was_before(event, name):
                return None
            self._mark(source, key, contents[0])
            return event
        return self._take_again(event, source, key, known, contents)

    def _take_again(self, event: E, source: _Source, key: int, known: int, contents: Sequence[int]) -> E | None:
        """Take an event whose id was taken before, unless it was taken itself."""
        if known == 0 and event.at_ms <= self._unknown_until_ms:
            return None
        as_before = self._contents_before(event)
        again = [_again(key, content) for content in (*contents, *as_before)]
        if known in (*contents, *as_before) or any(key in source.taken for key in again):
            return None
        self._mark(source, again[0], contents[0])
        return msgspec.structs.replace(event, event_id=told_apart(event.event_id, contents[0]))

    def _contents_before(self, event: Event) -> Sequence[int]:
        """Return what the event's content were if the log's time had not moved: it may have been taken before that."""
        if not self._shifted_ms:
            return ()
        received_ms = max(event.received_ms - self._shifted_ms, 0)
        return content_marks(msgspec.structs.replace(event, received_ms=received_ms))

    def _mark(self, source: _Source, key: int, content: int) -> None:
        source.taken[key] = content
        source.recent += 1
        recent = self._recent
        recent.append(source)
        if len(recent) > IN_FLIGHT:
            oldest = recent.popleft()
            oldest.recent -= 1
            oldest.trim()
        if len(source.taken) > MAX_IDS:
            source.trim()

    def _was_before(self, event: Event, name: bytes) -> bool:
        """Return whether an earlier version took the event, by its id and the time at which that version ended.

        Its marks age as ours do: one goes with each id that is new.
        """
        marks = self._before.get(event.source_id)
        if marks is None:
            return False
        mark = hashlib.blake2b(name, digest_size=ID_BYTES).digest()
        if mark in marks and event.at_ms <= self._unknown_until_ms:
            return True
        del marks[0]
        if not marks:
            del self._before[event.source_id]
        return False


def _again(key: int, content: int) -> int:
    """Return the mark of an id's further contents, beside that of its first."""
    return key ^ (content << 32 | content)


def _cut(packed: bytes) -> list[bytes]:
    return [packed[n : n + ID_BYTES] for n in range(0, len(packed), ID_BYTES)]


def _packed(taken: dict[int, int]) -> IdMarks:
    count = len(taken)
    return IdMarks(struct.pack(f"<{count}Q", *taken), struct.pack(f"<{count}I", *taken.values()))


def _unpacked(marks: IdMarks, *, known: bool) -> dict[int, int]:
    count = len(marks.ids) // ID_BYTES
    ids, contents = struct.unpack(f"<{count}Q", marks.ids), struct.unpack(f"<{count}I", marks.contents)
    return dict(zip(ids, contents, strict=True)) if known else dict.fromkeys(ids, 0)
