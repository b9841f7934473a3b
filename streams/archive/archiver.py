"""Follows one partition of the log into the archive. Its cursor moves with what it covers, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from contracts.batch import Batch, decode_batch
from contracts.erasure import Erasure, erasure_of
from contracts.errors import LogBroken, Rejected
from contracts.events import Configuration, ReferenceErased
from streams.archive.archive import Archive
from streams.archive.catalogue import Cursor, Segment
from streams.archive.cutter import Cutter, OpenDay
from streams.archive.keys import new_nonce
from streams.archive.segment import EndPart, SegmentHead, file_name, seal_part
from streams.log.port import LogReader, LogRecord
from streams.log.sqlite.days import day_of

READ_RECORDS = 512
FLUSH_ITEMS = 20_000
FLUSH_S = 600.0  # what a kill makes it read again; each flush costs every site at least one part

T = TypeVar("T")


class Archiver:
    """Archives one partition.

    Args:
        rows_before: the configuration appended before a moment, for a log whose beginning is gone: people's tables
            know it. Called only then.
        on_gap: hears of positions that were gone before they were archived.
        on_sealed: hears of each segment that was made.
    """

    def __init__(
        self,
        archive: Archive,
        log: LogReader,
        *,
        partition: int = 0,
        rows_before: Callable[[int], Iterable[Configuration]] = lambda _before_ms: (),
        on_gap: Callable[[str], None] = lambda _detail: None,
        on_sealed: Callable[[Segment], None] = lambda _segment: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._log, self._partition = archive, log, partition
        self._rows_before, self._on_gap, self._monotonic_s = rows_before, on_gap, monotonic_s
        self._on_sealed = on_sealed
        self._log_id = log.identity()
        self._opened = False
        self._kept: Cursor | None = None
        self._position = 0
        self._flushed_s = monotonic_s()
        self._cutter = Cutter(rows=())
        self._erasures: list[Erasure] = []
        self._eraser = archive.eraser_of(())

    def needed_from(self) -> int:
        """Return the first position of the log that is still needed."""
        cursor = self._archive.catalogue.cursor(self._log_id, self._partition)
        return 0 if cursor is None else cursor.position

    def step(self, limit: int = READ_RECORDS) -> int:
        """Take at most ``limit`` records of the log; how many there were.

        Raises:
            Transient: the archive cannot be written now; nothing is lost.
        """
        with self._archive.changing():
            records = self._again(lambda: self._read(limit))
            for record in records:
                self._take(record.position, record.data)
            due = records and self._monotonic_s() - self._flushed_s >= FLUSH_S
            if self._cutter.waiting >= FLUSH_ITEMS or due:
                self._flush()
        return len(records)

    def flush(self) -> None:
        """Keep everything taken so far."""
        with self._archive.changing():
            self._again(self._open)
            self._flush()

    def _read(self, limit: int) -> list[LogRecord]:
        self._open()
        return self._log.read(self._position, limit)

    def _again(self, turn: Callable[[], T]) -> T:
        """Take ``turn``, once more whenever the log has let go of what comes next between looking and reading."""
        while True:
            try:
                return turn()
            except LogBroken:
                if self._position >= self._log.begin():
                    raise

    def _open(self) -> None:
        """Go on where the catalogue says; what was taken since is read again if the catalogue has changed."""
        catalogue = self._archive.catalogue
        cursor = catalogue.cursor(self._log_id, self._partition)
        erasures = catalogue.erasures()
        known = (cursor, erasures) == (self._kept, self._erasures)  # else somebody else has written: begin anew there
        if self._opened and known:
            if self._log.begin() <= self._position:
                return
            self._flush()  # what was taken is not lost with what comes next
            cursor = self._kept
        self._opened, self._kept = True, cursor
        self._erasures, self._eraser = erasures, self._archive.eraser_of(erasures)
        of = (self._log_id, self._partition)
        self._seal()
        self._cutter = Cutter(
            day=cursor.day if cursor else "",
            watermark_ms=cursor.watermark_ms if cursor else 0,
            open_days=catalogue.open_days(*of, ended=False),
            rows=catalogue.rows(*of),
        )
        self._position = cursor.position if cursor else 0
        if self._position < self._log.begin():
            self._pass_gap(new=cursor is None)
        self._cutter.erase(self._eraser)

    def _pass_gap(self, *, new: bool) -> None:
        """Take from people's tables the configuration of a gap: the log begins later than where it was left."""
        begin = self._log.begin()
        if not new:
            self._on_gap(f"positions {self._position} to {begin - 1} were gone before they were archived")
        self._position = begin
        records = self._log.read(begin, 1)
        before_ms = _batch_of(records[0].data).watermark_ms if records else 0
        for row in self._rows_before(before_ms):
            self._cutter.fold(row)

    def _take(self, position: int, data: bytes) -> None:
        batch = _batch_of(data)
        if self._cutter.begins_day(batch):
            ended = self._cutter.end_day()
            self._flush(ended)
            self._seal()
            day = day_of(batch)
            used = self._archive.catalogue.has_day(self._log_id, self._partition, day)
            self._cutter.begin(batch, f"{day}-{position}" if used else day)
        for event in batch.events:
            if isinstance(event, ReferenceErased):
                self._erase(event)
        self._cutter.take(batch, self._eraser)
        self._position = position + 1

    def _erase(self, record: ReferenceErased) -> None:
        """Erase what the log says is erased: so it reaches every archive that follows the log."""
        self._flush()
        self._archive.erase(erasure_of(record))
        self._erasures = self._archive.catalogue.erasures()
        self._eraser = self._archive.eraser_of(self._erasures)
        self._cutter.erase(self._eraser)

    def _flush(self, ended: Iterable[OpenDay] = ()) -> None:
        cutter = self._cutter
        parts = [
            (file_name(head), cut.number, seal_part(cut.part, cut.number, head, key, new_nonce()))
            for cut in cutter.drain()
            for head, key in [(self._head(cut.site_id, cut.day), self._archive.keys.make(cut.site_id))]
        ]
        over = list(ended)
        for day in over:
            head, end = self._head(day.site_id, day.day), EndPart(day.parts)
            key = self._archive.keys.of(day.site_id)
            parts.append((file_name(head), day.parts, seal_part(end, day.parts, head, key, new_nonce())))
            cutter.forget(day)
        cursor = Cursor(self._position, cutter.day, cutter.watermark_ms)
        catalogue, of = self._archive.catalogue, (self._log_id, self._partition)
        changed = list(cutter.open.values())
        catalogue.advance(*of, cursor, parts=parts, days=changed, over=over, rows=cutter.changed_rows)
        cutter.changed_rows = {}
        self._kept, self._flushed_s = cursor, self._monotonic_s()

    def _seal(self) -> None:
        for day in self._archive.catalogue.open_days(self._log_id, self._partition, ended=True):
            self._on_sealed(self._archive.seal(self._head(day.site_id, day.day)))

    def _head(self, site_id: str, day: str) -> SegmentHead:
        return SegmentHead(site_id=site_id, day=day, log_id=self._log_id, partition=self._partition)


def _batch_of(data: bytes) -> Batch:
    """Return the record's batch; one that cannot be read says nothing, as the rules' reader reports."""
    try:
        return decode_batch(data)
    except Rejected:
        return Batch(partition=0, watermark_ms=0)
