"""Finding one event in the log: from about when it was received, by position. Pure but for the reader's I/O."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from contracts.batch import Batch, decode_batch
from contracts.errors import Rejected
from contracts.events import AnyEvent
from contracts.events.identity import is_named
from streams.log.port import LogReader, LogRecord

READ_RECORDS = 256
EARLIER_MS = 30_000
"""A record's time may lie this much before what its events say: the watermark waits for its proof."""


class LoggedEvent(msgspec.Struct, frozen=True):
    """An event, and the record that holds it. ``record_ms`` is when that was written (0: not known)."""

    event: AnyEvent
    partition: int
    position: int
    record_ms: int


def find_event(log: LogReader, event_id: str, *, site_id: str | None = None, from_ms: int = 0) -> LoggedEvent | None:
    """Return the first event of this id in the log (duplicates come later), or None.

    Args:
        log: one partition.
        event_id: the device's own id, or the one that the engine told it apart by; another site may use the same.
        site_id: only of this site.
        from_ms: it was received at that time or later; 0 reads from the beginning of the log.
    """
    start = position_at(log, from_ms - EARLIER_MS) if from_ms > EARLIER_MS else log.begin()
    found = _find_from(log, start, event_id, site_id)
    if found is None and start > log.begin():  # the log's time went back, so that halving looked in the wrong half
        found = _find_from(log, log.begin(), event_id, site_id)
    return found


def _find_from(log: LogReader, start: int, event_id: str, site_id: str | None) -> LoggedEvent | None:
    for record, batch in _batches(log, start):
        for event in batch.events:
            if is_named(event, event_id) and site_id in {None, event.site_id}:
                return LoggedEvent(event, batch.partition, record.position, record.at_ms)
    return None


def position_at(log: LogReader, at_ms: int) -> int:
    """Return the position from which on records may hold what was received at ``at_ms`` or later; by halving."""
    low, high = log.begin(), log.end()
    while low < high:
        middle = (low + high) // 2
        told = next(((r.position, ms) for r, b in _batches(log, middle, high) if (ms := time_of(b))), None)
        if told is None or told[1] >= at_ms:
            high = middle
        else:
            low = told[0] + 1
    return low


def time_of(batch: Batch) -> int:
    """Return when the batch was written, as it says itself: 0 when it says nothing."""
    return max([batch.watermark_ms, *(event.received_ms for event in batch.events)])


def _batches(log: LogReader, start: int, stop: int | None = None) -> Iterator[tuple[LogRecord, Batch]]:
    """Yield readable records from ``start`` on."""
    end = log.end() if stop is None else stop
    while start < end and (records := log.read(start, min(READ_RECORDS, end - start))):
        for record in records:
            try:
                yield record, decode_batch(record.data)
            except Rejected:  # the engine reports it
                continue
        start = records[-1].position + 1
