"""The embedded log: ``log-YYYYMMDD.db``, a file a day, one compressed batch a row. Retention unlinks whole files.

Days are days of the log's own time (UTC), so a file loaded later lies where its events belong. A record never goes into
a file older than the newest one: positions grow with the names of the files.
"""

from __future__ import annotations

import secrets
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from contracts.batch import Batch, encode_batch
from contracts.errors import ConfigurationError, LogBroken
from streams.log.port import LogRecord
from streams.log.sqlite.days import LogDay, day_of
from streams.sqlite_file import add_column, columns, connect, transaction, undamaged
from system.clock import wall_ms
from system.private_files import make_folder

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (position INTEGER PRIMARY KEY, watermark_ms INTEGER NOT NULL, body BLOB NOT NULL,
  at_ms INTEGER NOT NULL DEFAULT 0);
"""
_LEVEL = 1  # zlib: 34-58 B an event; higher levels cost more time than they save
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
        self._files: list[_DayFile] = []
        if not readonly:
            make_folder(folder)
        for path in sorted(folder.glob("log-????????.db")):
            self._files.append(_DayFile(path, readonly=readonly))
        if self._files and not self._files[-1].identity:  # its first transaction was never committed: killed before,
            unfinished = self._files.pop()  # or, for who only reads, just now being made
            (unfinished.close if readonly else unfinished.unlink)()
        self._identity = self._files[-1].identity if self._files else secrets.token_hex(8)
        self._check_files()
        self._end = self._files[-1].end() if self._files else 0
        self._watermark_ms = max((f.watermark_ms() for f in self._files), default=0)

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
        """Return the highest watermark in the log, 0 when it is empty."""
        return self._watermark_ms

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append in one transaction, and so into one file, that of the newest day; durable on return.

        See :class:`streams.log.port.LogWriter`.
        """
        with self._lock:
            if batches:
                newest = self._files[-1].day if self._files else _EMPTY_DAY
                file = self._file_of(max(newest, *(day_of(b) for b in batches)))
                file.append(self._end, batches)
                self._watermark_ms = max(self._watermark_ms, *(b.watermark_ms for b in batches))
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
            file = next(f for f in reversed(self._files) if f.first <= position)
            records = file.read(position, limit)
        if not records or records[0].position != position or records[-1].position != position + len(records) - 1:
            raise LogBroken(f"log {self._folder}: records from position {position} on are missing in {file.path.name}")
        return records

    def days(self) -> list[LogDay]:
        """Return the day files, oldest first."""
        with self._lock:
            return [LogDay(f.path.name, f.day, f.end(), f.size_bytes()) for f in self._files]

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

    def _check_files(self) -> None:
        for before, after in zip(self._files, self._files[1:], strict=False):
            if before.identity != after.identity or before.end() != after.first:
                raise LogBroken(
                    f"log {self._folder}: {after.path.name} does not continue {before.path.name} "
                    f"(positions {before.end()} and {after.first}); restore the missing file or start a new folder"
                )

    def _file_of(self, day: str) -> _DayFile:
        if not self._files or self._files[-1].day != day:
            path = self._folder / f"log-{day}.db"
            self._files.append(_DayFile(path, identity=self._identity, first=self._end))
        return self._files[-1]


class _DayFile:
    """One day's file: its first position, its identity (empty: never finished) and its rows."""

    def __init__(self, path: Path, identity: str = "", first: int = 0, *, readonly: bool = False) -> None:
        self.path = path
        self.day = path.stem.removeprefix("log-")
        self._db = connect(path, readonly=True) if readonly else connect(path, SCHEMA)
        if not readonly:
            add_column(self._db, "records", "at_ms INTEGER NOT NULL DEFAULT 0")
        self._at_ms = "at_ms" if "at_ms" in columns(self._db, "records") else "0"
        if identity:
            with transaction(self._db) as db:
                db.executemany(
                    "INSERT OR IGNORE INTO meta VALUES (?, ?)", [("identity", identity), ("first", str(first))]
                )
        with undamaged(self._db):
            meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        self.identity = str(meta.get("identity", ""))
        self.first = int(meta.get("first", 0))

    def end(self) -> int:
        with undamaged(self._db):
            row = self._db.execute("SELECT max(position) FROM records").fetchone()
        return self.first if row[0] is None else int(row[0]) + 1

    def watermark_ms(self) -> int:
        with undamaged(self._db):
            row = self._db.execute("SELECT watermark_ms FROM records ORDER BY position DESC LIMIT 1").fetchone()
            if row is None:
                return 0
            if row[0]:
                return int(row[0])
            return int(self._db.execute("SELECT max(watermark_ms) FROM records").fetchone()[0])

    def append(self, position: int, batches: Sequence[Batch]) -> None:
        now_ms = wall_ms()
        rows = [
            (position + n, batch.watermark_ms, zlib.compress(encode_batch(_of_partition_0(batch)), _LEVEL), now_ms)
            for n, batch in enumerate(batches)
        ]
        with transaction(self._db) as db:
            db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)

    def read(self, position: int, limit: int) -> list[LogRecord]:
        with undamaged(self._db):
            rows = self._db.execute(
                f"SELECT position, body, {self._at_ms} FROM records WHERE position >= ? ORDER BY position LIMIT ?",
                (position, limit),
            )
            return [LogRecord(int(position), _inflate(body), int(at_ms)) for position, body, at_ms in rows]

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._paths() if path.exists())

    def unlink(self) -> None:
        self.close()
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return [Path(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm")]

    def close(self) -> None:
        self._db.close()


def _inflate(body: bytes) -> bytes:
    """Return the record's bytes; a damaged row is handed on as it lies, so that the engine reports it and goes on."""
    try:
        return zlib.decompress(body)
    except zlib.error:
        return body


def _of_partition_0(batch: Batch) -> Batch:
    if batch.partition != 0:
        raise ConfigurationError(f"the embedded log has one partition, 0; a batch is for partition {batch.partition}")
    return batch


def read_days(folder: Path) -> Iterator[tuple[str, LogRecord]]:
    """Yield every record of a folder's day files with its file's day, read beside the process that writes them."""
    for path in sorted(folder.glob("log-????????.db")):
        db = connect(path, readonly=True)
        try:
            with undamaged(db):
                for position, body in db.execute("SELECT position, body FROM records ORDER BY position"):
                    yield path.stem.removeprefix("log-"), LogRecord(int(position), _inflate(body))
        finally:
            db.close()
