"""Cuts a partition's records into parts of site-days. Pure: the same records give the same parts' contents.

A day is a UTC day of the log's own time, as the day files are: a site's local midnight moves with its time zone, and
would leave a day of the log needed by two days of the archive. A record lies in one day as a whole. Where the log's
time moves, the day ends; one that has been before goes on as ``YYYYMMDD-POSITION``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from contracts.batch import Batch, shift_of
from contracts.configuration_rows import row_key
from contracts.erasure import Eraser
from contracts.events import AnyEvent, Configuration, ConfigurationRecord, ReferenceErased
from streams.archive.segment import BatchesPart, ConfigurationPart
from streams.log.sqlite.days import day_of

PART_ITEMS = 4_000
"""Batches and events of a part: about 256 KiB before compression."""

RowKey = tuple[str, str, str]
"""Site, kind, and the row's own key."""


class OpenDay(msgspec.Struct):
    """One site's day that is not over. ``told_ms``: the highest watermark that its batches carry so far."""

    site_id: str
    day: str
    parts: int = 0
    told_ms: int = 0


class DayPart(msgspec.Struct, frozen=True):
    """One part of a site-day, ready to be sealed under ``number``."""

    site_id: str
    day: str
    number: int
    part: ConfigurationPart | BatchesPart


class Cutter:
    """Takes records in order of position; :meth:`drain` gives the parts.

    Attributes:
        day: the UTC day of the last record, with what was added to it; "" before the first.
        watermark_ms: the highest of the records taken.
        waiting: events taken and not yet drained.
    """

    def __init__(
        self, *, day: str = "", watermark_ms: int = 0, open_days: Iterable[OpenDay] = (), rows: Iterable[Configuration]
    ) -> None:
        self.day = day
        self.watermark_ms = watermark_ms
        self.waiting = 0
        self.open = {(each.site_id, each.day): each for each in open_days}
        self.rows: dict[RowKey, Configuration] = {key_of(row): row for row in rows}
        self.changed_rows: dict[RowKey, Configuration | None] = {}
        self._batches: dict[tuple[str, str], list[Batch]] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._parts: list[DayPart] = []

    def begins_day(self, batch: Batch) -> bool:
        """Return whether ``batch`` lies in a later day than those before it, or the log's time moves with it.

        Then what is open must be ended, and the next day be begun.
        """
        return bool(self.day) and (shift_of(batch) != 0 or day_of(batch) > self.day[:8])

    def begin(self, batch: Batch, label: str) -> None:
        """Begin the day of ``batch`` under this label: its own day, with something added if that was used before."""
        self.day = label
        if shift_of(batch):
            self.watermark_ms = 0

    def take(self, batch: Batch, eraser: Eraser) -> None:
        """Take the next record, without what ``eraser`` takes out of it."""
        if day_of(batch) > self.day[:8]:
            self.day = day_of(batch)
        of_site: dict[str, list[AnyEvent]] = {}
        for event in batch.events:
            kept = eraser.event(event)
            if kept is not None:
                of_site.setdefault(kept.site_id, []).append(kept)
        for site_id, events in of_site.items():
            self._add(site_id, batch.watermark_ms, events)
        self.watermark_ms = max(self.watermark_ms, batch.watermark_ms)

    def end_day(self) -> list[OpenDay]:
        """End the day: give each open site-day the time that has passed; drain, seal, then :meth:`forget` them."""
        for key, day in self.open.items():
            self._tell_time(key, day)
        return list(self.open.values())

    def erase(self, eraser: Eraser) -> None:
        """Take references out of the rows in force, which the next day would begin with."""
        for key, row in erased_rows(self.rows.values(), eraser).items():
            self._set_row(key, row)

    def forget(self, day: OpenDay) -> None:
        """Forget the site-day: it is sealed."""
        del self.open[day.site_id, day.day]

    def drain(self) -> list[DayPart]:
        """Return the parts of everything taken since the last call, each site-day's in order."""
        for key in list(self._batches):
            self._end_part(key)
        parts, self._parts, self.waiting = self._parts, [], 0
        return parts

    def _add(self, site_id: str, watermark_ms: int, events: list[AnyEvent]) -> None:
        key = (site_id, self.day)
        day = self.open.get(key)
        if day is None:
            day = self.open[key] = OpenDay(site_id, self.day)
            self._cut(day, ConfigurationPart(tuple(self._in_force(site_id))))
        self._tell_time(key, day)
        self._put(key, day, Batch(partition=0, watermark_ms=watermark_ms, events=tuple(events)))
        for event in events:
            if isinstance(event, ConfigurationRecord):
                self.fold(event)

    def _tell_time(self, key: tuple[str, str], day: OpenDay) -> None:
        """Tell by one empty batch the same as all that told the time since the site's last events."""
        if self.watermark_ms > day.told_ms:
            self._put(key, day, Batch(partition=0, watermark_ms=self.watermark_ms))

    def _put(self, key: tuple[str, str], day: OpenDay, batch: Batch) -> None:
        size = 1 + len(batch.events)
        self._batches.setdefault(key, []).append(batch)
        self._sizes[key] = self._sizes.get(key, 0) + size
        self.waiting += size
        day.told_ms = max(day.told_ms, batch.watermark_ms)
        if self._sizes[key] >= PART_ITEMS:
            self._end_part(key)

    def _end_part(self, key: tuple[str, str]) -> None:
        batches = self._batches.pop(key)
        del self._sizes[key]
        self._cut(self.open[key], BatchesPart(tuple(batches)))

    def _cut(self, day: OpenDay, part: ConfigurationPart | BatchesPart) -> None:
        self._parts.append(DayPart(day.site_id, day.day, day.parts, part))
        day.parts += 1

    def _in_force(self, site_id: str) -> Iterator[Configuration]:
        mine = (row for (of, _, _), row in self.rows.items() if of == site_id)
        yield from sorted(mine, key=lambda row: row.version)

    def fold(self, record: Configuration) -> None:
        """Take a row into those in force, unless they know a newer version of it."""
        key = key_of(record)
        before = self.rows.get(key)
        if before is not None and _is_known(before, record):
            return
        if record.removed or isinstance(record, ReferenceErased):
            self._set_row(key, None)
        else:
            self._set_row(key, record)

    def _set_row(self, key: RowKey, row: Configuration | None) -> None:
        self.changed_rows[key] = row
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row


def _is_known(newest: Configuration, record: Configuration) -> bool:
    """Return whether ``record`` came before, or with, ``newest``; another inventory numbers its records anew."""
    if newest.store != record.store:
        return False
    return record.version < newest.version or (record.version, record.transaction) == (
        newest.version,
        newest.transaction,
    )


def key_of(record: Configuration) -> RowKey:
    """Return which row of which site a record is a version of."""
    return record.site_id, str(record.__struct_config__.tag), row_key(record)


def erased_rows(rows: Iterable[Configuration], eraser: Eraser) -> dict[RowKey, Configuration | None]:
    """Return the rows that name what is erased, and what is left of each."""
    left: dict[RowKey, Configuration | None] = {}
    for row in rows:
        kept = eraser.event(row)
        if kept is not row:
            left[key_of(row)] = kept if isinstance(kept, ConfigurationRecord) else None
    return left
