"""Logs that cross midnight, and archives of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from contracts.batch import Batch
from contracts.events import AnyEvent, Configuration
from contracts.findings import Output
from detectors.core.rule import Rule
from streams.archive.archive import Archive
from streams.archive.archiver import Archiver
from streams.archive.replaying import run_segments, segment_file
from streams.log.sqlite.day_log import DayLog
from tests.streams.support import T0

DAY_MS = 86_400_000
MIDNIGHT_MS = (T0 // DAY_MS + 1) * DAY_MS


def moved(log: Sequence[Batch], by_ms: int) -> list[Batch]:
    """The same log at another time."""
    return [
        msgspec.structs.replace(
            batch,
            watermark_ms=batch.watermark_ms + by_ms if batch.watermark_ms else 0,
            events=tuple(moved_event(event, by_ms) for event in batch.events),
        )
        for batch in log
    ]


def moved_event(event: AnyEvent, by_ms: int) -> AnyEvent:
    """The same event at another time."""
    return msgspec.structs.replace(event, at_ms=event.at_ms + by_ms, received_ms=event.received_ms + by_ms)


def next_day(log: DayLog, days: int = 1) -> None:
    """One more record, in a later day: what is before it is over."""
    log.append([Batch(partition=0, watermark_ms=log.last_watermark_ms() + days * DAY_MS)])


def archive_all(
    archive: Archive,
    log: DayLog,
    *,
    limit: int = 512,
    rows: Iterable[Configuration] = (),
    gaps: list[str] | None = None,
) -> None:
    """Follow the log to its end."""
    told = [] if gaps is None else gaps
    archiver = Archiver(archive, log, rows_before=lambda _before_ms: rows, on_gap=told.append)
    while archiver.step(limit):
        pass
    archiver.flush()


def replayed(archive: Archive, rules: Sequence[Rule[Any]]) -> list[Output]:
    """Return what the rules find in every segment."""
    files = [segment_file(archive.path(segment)) for segment in archive.catalogue.segments()]
    return list(run_segments(files, archive.keys, rules))


def everything(folder: Path) -> bytes:
    """All bytes of all files there."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
