"""Days of the log, and which of them may go: bounded by time and by size, held back by whoever still reads. Pure."""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Mapping, Sequence

import msgspec

from contracts.batch import Batch


class LogDay(msgspec.Struct, frozen=True):
    """One day file: its UTC day (``YYYYMMDD``), the position after its last record, and its size."""

    name: str
    day: str
    end: int
    size_bytes: int


class DayPlan(msgspec.Struct, frozen=True):
    """Everything before ``before`` may go. ``held_by``: who still needs days that are over a bound, and how many."""

    before: int
    held_by: str = ""
    held_days: int = 0


def day_of(batch: Batch) -> str:
    """Return the UTC day (``YYYYMMDD``) of what the batch says last: its watermark or its newest event."""
    newest = max((event.received_ms for event in batch.events), default=0)
    return utc_day(max(batch.watermark_ms, newest))


def true_days(files: Sequence[tuple[str, int]]) -> list[str]:
    """Return the day of each file as it turned out, after every step of the log's time.

    A clock that was behind is seen by the steps forward after it; one that was ahead, by a later file of an earlier
    day.

    Args:
        files: of each the day in its name, and by how much the log's time moved as it began, oldest first.

    >>> true_days([("20261129", 0), ("20270128", 0), ("20261130", -5_000_000_000)])
    ['20261129', '20261130', '20261130']
    >>> true_days([("20261101", 0), ("20261129", 2_419_200_000)])
    ['20261129', '20261129']
    """
    days: list[str] = []
    later_ms = 0
    for day, shift_ms in reversed(files):
        moved = utc_day(day_begin_ms(day) + max(later_ms, 0))
        days.append(min(moved, days[-1]) if days else moved)
        later_ms += shift_ms
    return days[::-1]


def utc_day(at_ms: int) -> str:
    """Return ``YYYYMMDD`` of a moment.

    >>> utc_day(86_400_000)
    '19700102'
    """
    return datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC).strftime("%Y%m%d")


def day_begin_ms(day: str) -> int:
    """Return the first moment of a UTC day ``YYYYMMDD``, epoch ms.

    >>> day_begin_ms("19700102")
    86400000
    """
    return calendar.timegm((int(day[:4]), int(day[4:6]), int(day[6:8]), 0, 0, 0)) * 1000


def plan_days(
    days: Sequence[LogDay], *, oldest_day: str, max_bytes: int, needed_from: Mapping[str, int], begin: int = 0
) -> DayPlan:
    """Return the ``days`` (oldest first) that go: those before ``oldest_day``; the oldest while all pass ``max_bytes``.

    Args:
        days: the newest of them never goes.
        oldest_day: the first day to be kept.
        max_bytes: of all days together; 0 is no bound.
        needed_from: reader → the first position it still needs; a day with such a record stays, and so do those after.
        begin: the first position held.
    """
    over = _over(days, oldest_day, max_bytes)
    reader = min(needed_from, key=lambda name: needed_from[name], default="")
    free = [day for day in over if not reader or day.end <= needed_from[reader]]
    held = len(over) - len(free)
    return DayPlan(free[-1].end if free else begin, reader if held else "", held)


def _over(days: Sequence[LogDay], oldest_day: str, max_bytes: int) -> list[LogDay]:
    total = sum(day.size_bytes for day in days)
    over = []
    for day in days[:-1]:
        if day.day >= oldest_day and not (max_bytes and total > max_bytes):
            break
        over.append(day)
        total -= day.size_bytes
    return over
