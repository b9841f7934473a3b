"""The archive as the settings name it, and the thread that follows the log into it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from app.settings.settings import Settings
from app.wiring.reference_key import reference_key
from contracts.errors import ConfigurationError
from contracts.events import Configuration
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from incidents.store.store import Store
from inventory.inventory import Inventory
from streams.archive.archive import Archive
from streams.archive.archiver import Archiver
from streams.archive.catalogue import Segment
from streams.log.port import LogReader
from system.clock import wall_ms

LOG = structlog.get_logger("linli")
POLL_S = 1.0
_CHANGES = 1_000


def open_archive(settings: Settings) -> Archive | None:
    """Return the archive; None when none is wanted."""
    folder, key_file = settings.archive.folder, settings.archive.key_file
    return None if folder is None else Archive(folder, key_file, reference_key(settings))


def need_archive(settings: Settings) -> Archive:
    """Return the archive.

    Raises:
        ConfigurationError: none is wanted.
    """
    archive = open_archive(settings)
    if archive is None:
        raise ConfigurationError("archive.folder is empty, so there is no archive; name a folder")
    return archive


def rows_before(inventory: Inventory, before_ms: int) -> Iterable[Configuration]:
    """Return the rows that people had written before a moment, oldest first."""
    change = 0
    while found := inventory.changes_after(change, _CHANGES):
        change = found[-1][0]
        yield from (row for _, row in found if row.at_ms <= before_ms)


def archivers_of(
    archive: Archive,
    logs: Sequence[LogReader],
    inventory: Inventory,
    store: Store,
    *,
    on_sealed: Callable[[Segment], None],
) -> list[Archiver]:
    """Return one for each partition of the log, in their order."""

    def on_gap(detail: str) -> None:
        LOG.error("archive_gap", detail=detail)
        with store.write() as connection:
            raise_alarm(connection, AlarmCode.ARCHIVE_GAP, "archive", detail, wall_ms())

    def archiver(partition: int, log: LogReader) -> Archiver:
        rows = partial(rows_before, inventory)
        return Archiver(archive, log, partition=partition, rows_before=rows, on_gap=on_gap, on_sealed=on_sealed)

    return [archiver(partition, log) for partition, log in enumerate(logs)]


def log_sealed(segment: Segment) -> None:
    """Tell of a segment in the log of the process."""
    LOG.info("segment_sealed", segment=segment.name, events=segment.events, size_bytes=segment.size_bytes)


def follow(archivers: Sequence[Archiver], stop: threading.Event) -> None:
    """Archive until ``stop``; then keep what was taken."""
    while not stop.is_set():
        if not sum(archiver.step() for archiver in archivers):
            stop.wait(POLL_S)
    for archiver in archivers:
        archiver.flush()
