"""The embedded log: ``log-YYYYMMDD.db``, a file a day, a compressed batch a row. Retention unlinks whole files.

Days are days of the log's own time (UTC), so a file loaded later lies where its events belong. A record never goes into
a file of an earlier day than the newest one, until the log's time steps back: then another file begins, and if its day
has one already it is named ``log-YYYYMMDD-2.db``. What orders the files is their first position.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from contracts.batch import Batch, newest_watermark_ms, shift_of
from contracts.errors import LogBroken
from streams.log.port import LogRecord
from streams.log.sqlite.day_file import DayFile
from streams.log.sqlite.day_names import day_files, free_name
from streams.log.sqlite.days import LogDay, day_of, true_days
from system.private_files import make_folder

_EMPTY_DAY = "19700101"


class DayLog:
    """Writer and reader of one folder of day files; a single partition, number 0. Thread-safe.

    Args:
        readonly: beside the process that writes; sees what was there when it was opened.

    Raises:
        ConfigurationError: when a batch is for another partition than 0.
    """

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._files: list[DayFile] = []
        if not readonly:
            make_folder(folder)
        found = [DayFile(path, readonly=readonly) for path in day_files(folder)]
        self._files = sorted((file for file in found if file.identity), key=lambda file: file.first)
        unfinished = [file for file in found if not file.identity]
        self._identity = self._files[-1].identity if self._files else secrets.token_hex(8)
        self._check_files([file.path.name for file in unfinished if self._is_emptied(file, found[-1])])
        for file in unfinished:  # its first transaction was never committed: killed before,
            (file.close if readonly else file.unlink)()  # or, for who only reads, just now being made
        self._end = self._files[-1].end() if self._files else 0
        self._watermark_ms = next((mark for f in reversed(self._files) if (mark := f.watermark_ms())), 0)

    def identity(self) -> str:
        """Return the random name this log was created with; another log in the same folder has another."""
        return self._identity

    def begin(self) -> int:
        """Return the first position still held."""
        with self._lock:
            return self._files[0].first if self._files else self._end

    def end(self) -> int:
        """Return the position the next record will get."""
        return self._end

    def last_watermark_ms(self) -> int:
        """Return the newest watermark in the log, 0 when it is empty."""
        return self._watermark_ms

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append in one transaction, and so into one file, that of the newest day; durable on return.

        See :class:`streams.log.port.LogWriter`.
        """
        with self._lock:
            if batches:
                shift_ms = sum(shift_of(batch) for batch in batches)
                newest = self._files[-1].day if self._files and not shift_ms else _EMPTY_DAY
                file = self._file_of(max(newest, *(day_of(b) for b in batches)), shift_ms)
                file.append(self._end, batches)
                self._watermark_ms = newest_watermark_ms(batches) or self._watermark_ms
            start, self._end = self._end, self._end + len(batches)
            return list(range(start, self._end))

    def read(self, position: int, limit: int) -> list[LogRecord]:
        """Return at most ``limit`` contiguous records from ``position``. See :class:`streams.log.port.LogReader`."""
        with self._lock:
            if position >= self._end:
                return []
            if position < self.begin():
                raise LogBroken(
                    f"log {self._folder}: position {position} is gone, the first one held is {self.begin()}"
                )
            file = self._holding(position)
            records = file.read(position, limit)
        if not records or records[0].position != position or records[-1].position != position + len(records) - 1:
            raise LogBroken(f"log {self._folder}: records from position {position} on are missing in {file.path.name}")
        return records

    def give_up(self, position: int) -> bool:
        """Empty the record at ``position`` if it is damaged, so that every reader gets past it; whether it was."""
        with self._lock:
            return self.begin() <= position < self._end and self._holding(position).give_up(position)

    def days(self) -> list[LogDay]:
        """Return the day files, oldest first."""
        with self._lock:
            days = zip(self._files, _true_days(self._files), strict=True)
            return [LogDay(f.path.name, day, f.end(), f.size_bytes()) for f, day in days]

    def drop_before(self, position: int) -> list[LogDay]:
        """Unlink files whose records all lie before ``position``, never the newest; what was unlinked."""
        with self._lock:
            gone = [day for day in self.days()[:-1] if day.end <= position]
            old, self._files = self._files[: len(gone)], self._files[len(gone) :]
        for file in old:
            file.unlink()
        return gone

    def close(self) -> None:
        """Close every file; the log can be opened again."""
        with self._lock:
            for file in self._files:
                file.close()

    def _holding(self, position: int) -> DayFile:
        return next(f for f in reversed(self._files) if f.first <= position)

    def _is_emptied(self, file: DayFile, last: DayFile) -> bool:
        """Return whether a file without an identity had one: the newest did not announce it.

        Earlier versions announced nothing. Their unfinished file is the last one by name.
        """
        if not self._files:
            return False
        return file.path.name != self._files[-1].next_name if self._files[-1].next_name else file is not last

    def _check_files(self, emptied: Sequence[str]) -> None:
        for before, after in zip(self._files, self._files[1:], strict=False):
            if before.identity != after.identity or before.end() != after.first:
                raise LogBroken(
                    f"log {self._folder}: {after.path.name} does not continue {before.path.name} "
                    f"(positions {before.end()} and {after.first}); restore the missing file or start a new folder"
                )
        for name in emptied:  # the first one: it leaves no gap
            raise LogBroken(f"log {self._folder}: {name} is empty; restore it or start a new folder")

    def _file_of(self, day: str, shift_ms: int) -> DayFile:
        """Return the file to append to. One with which the log's time moves holds nothing from before."""
        last = self._files[-1] if self._files else None
        if last is None or last.day != day or (shift_ms and last.end() > last.first):
            path = free_name(self._folder, day)
            if last is not None:
                last.announce(path.name)
            self._files.append(DayFile(path, identity=self._identity, first=self._end, shift_ms=shift_ms))
        return self._files[-1]


def read_days(folder: Path) -> Iterator[tuple[str, LogRecord]]:
    """Yield every record of a folder's day files with its file's day, read beside the process that writes them.

    The day is that by which the file goes, as in :meth:`DayLog.days`.
    """
    files = [DayFile(path, readonly=True) for path in day_files(folder)]
    try:
        files = sorted(files, key=lambda file: file.first)
        for file, day in zip(files, _true_days(files), strict=True):
            for record in file.records():
                yield day, record
    finally:
        for file in files:
            file.close()


def _true_days(files: Sequence[DayFile]) -> list[str]:
    return true_days([(file.day, file.shift_ms) for file in files])
