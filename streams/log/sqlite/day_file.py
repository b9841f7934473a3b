"""One day's file of the log: its rows, the dictionaries they were compressed with, its name and its first position."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from contracts.batch import Batch, encode_batch
from contracts.errors import ConfigurationError
from streams.log.port import LogRecord, RecordDamaged
from streams.log.sqlite.day_names import day_of_file
from streams.log.sqlite.row_form import (
    NO_DICTIONARY,
    DamagedRow,
    Packer,
    Row,
    RowWriter,
    check,
    checked,
    unpack,
)
from streams.sqlite_file import add_column, columns, connect, transaction, undamaged
from system.clock import wall_ms

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (position INTEGER PRIMARY KEY, watermark_ms INTEGER NOT NULL, body BLOB NOT NULL,
  at_ms INTEGER NOT NULL DEFAULT 0, dictionary INTEGER NOT NULL DEFAULT 0, checksum INTEGER);
CREATE TABLE IF NOT EXISTS dictionaries (number INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
_ADDED = {"at_ms": "INTEGER NOT NULL DEFAULT 0", "dictionary": "INTEGER NOT NULL DEFAULT 0", "checksum": "INTEGER"}
_WITHOUT = {"at_ms": "0", "dictionary": "0", "checksum": "NULL"}
"""What a file that an earlier version made says in place of a column that it lacks."""


class DayFile:
    """One day's file: its first position, its identity (empty: never finished) and its rows.

    ``shift_ms`` is by how much the log's time moved as it began, ``next_name`` the file after it, once that is begun.
    """

    def __init__(
        self, path: Path, identity: str = "", first: int = 0, shift_ms: int = 0, *, readonly: bool = False
    ) -> None:
        self.path = path
        self.day = day_of_file(path)
        self._db = connect(path, readonly=True) if readonly else connect(path, SCHEMA)
        if not readonly:
            for name, definition in _ADDED.items():
                add_column(self._db, "records", f"{name} {definition}")
        self._select = _selecting(self._db)
        self._dictionaries: dict[int, bytes] = {}
        self._writer: RowWriter | None = None  # made at the first append
        if identity:
            said = {"identity": identity, "first": str(first), "shift_ms": str(shift_ms)}
            with transaction(self._db) as db:
                db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", said.items())
        with undamaged(self._db):
            begun = "key" in columns(self._db, "meta")  # else another process is just making it
            meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall()) if begun else {}
        self.identity = str(meta.get("identity", ""))
        self.first = int(meta.get("first", 0))
        self.shift_ms = int(meta.get("shift_ms", 0))
        self.next_name = str(meta.get("next", ""))

    def announce(self, name: str) -> None:
        """Note the name of the file that is made next: what is found of it without an identity was never finished."""
        with transaction(self._db) as db:
            db.execute("REPLACE INTO meta VALUES ('next', ?)", (name,))
        self.next_name = name

    def end(self) -> int:
        """Return the position after the last record."""
        with undamaged(self._db):
            row = self._db.execute("SELECT max(position) FROM records").fetchone()
        return self.first if row[0] is None else int(row[0]) + 1

    def watermark_ms(self) -> int:
        """Return the newest watermark, 0 when none says anything about time."""
        with undamaged(self._db):
            newest = "SELECT watermark_ms FROM records WHERE watermark_ms > 0 ORDER BY position DESC LIMIT 1"
            row = self._db.execute(newest).fetchone()
        return 0 if row is None else int(row[0])

    def append(self, position: int, batches: Sequence[Batch]) -> None:
        """Write ``batches`` from ``position`` on, in one transaction.

        Raises:
            ConfigurationError: one is for another partition than 0.
            Transient: the disk is full or the file is locked; nothing was kept.
        """
        writer = (self._writer or self._new_writer()).copy()
        now_ms = wall_ms()
        rows = [
            writer.row(position + n, batch.watermark_ms, encode_batch(_of_partition_0(batch)), now_ms)
            for n, batch in enumerate(batches)
        ]
        with transaction(self._db) as db:
            for made in writer.made:
                body = zlib.compress(made.dictionary)
                db.execute("INSERT INTO dictionaries VALUES (?, ?, ?)", (made.number, body, zlib.crc32(body)))
            db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", map(msgspec.structs.astuple, rows))
        self._writer = writer

    def read(self, position: int, limit: int) -> list[LogRecord]:
        """Return at most ``limit`` records from ``position`` on; fewer when a later one is damaged.

        Raises:
            RecordDamaged: the first of them is.
        """
        records: list[LogRecord] = []
        with undamaged(self._db):
            for row in self._rows("WHERE position >= ? ORDER BY position LIMIT ?", (position, limit)):
                try:
                    records.append(self._record(row))
                except RecordDamaged:
                    if records:
                        break
                    raise
        return records

    def records(self) -> Iterator[LogRecord]:
        """Yield every record, in order. Raises as :meth:`read`."""
        with undamaged(self._db):
            for row in self._rows("ORDER BY position", ()):
                yield self._record(row)

    def give_up(self, position: int) -> bool:
        """Empty the record at ``position`` if it is damaged, so that every reader gets past it; whether it was."""
        try:
            self.read(position, 1)
        except RecordDamaged:
            with transaction(self._db) as db:
                watermark_ms, at_ms = db.execute(
                    "SELECT watermark_ms, at_ms FROM records WHERE position = ?", (position,)
                ).fetchone()
                row = checked(Row(position, watermark_ms, b"", at_ms))
                db.execute("REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(row))
            return True
        return False

    def size_bytes(self) -> int:
        """Return what it takes on disk, its journal included."""
        return sum(path.stat().st_size for path in self._paths() if path.exists())

    def unlink(self) -> None:
        """Delete it for good."""
        self.close()
        for path in self._paths():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close it; it can be opened again."""
        self._db.close()

    def _paths(self) -> list[Path]:
        return [Path(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm")]

    def _rows(self, where: str, values: tuple[int, ...]) -> Iterator[Row]:
        for row in self._db.execute(f"{self._select} {where}", values):
            yield Row(*row)

    def _record(self, row: Row) -> LogRecord:
        """Return a row's record; a damaged one without a checksum as it lies: the engine reports it and goes on."""
        try:
            check(row)
            if not row.body and row.checksum is not None:
                return LogRecord(row.position, b"", row.at_ms)  # given up by a person
            dictionary = None if row.dictionary == NO_DICTIONARY else self._dictionary(row.dictionary)
            return LogRecord(row.position, unpack(row.body, dictionary), row.at_ms)
        except DamagedRow as error:
            if row.checksum is None:
                return LogRecord(row.position, row.body, row.at_ms)
            raise RecordDamaged(
                f"{self.path} is damaged: the record at position {row.position}: {error}. Stop linli and restore the "
                f"file from a backup; without one `linli streams skip {row.position}` gives up what the record holds",
                row.position,
            ) from None

    def _dictionary(self, number: int) -> bytes:
        known = self._dictionaries.get(number)
        if known is not None:
            return known
        found = self._db.execute("SELECT body, checksum FROM dictionaries WHERE number = ?", (number,)).fetchone()
        if found is None:
            raise DamagedRow(f"the dictionary {number} that it needs is missing")
        if zlib.crc32(found[0]) != found[1]:
            raise DamagedRow(f"the checksum of dictionary {number}, which it needs, differs from what was written")
        self._dictionaries[number] = unpack(found[0], None)
        return self._dictionaries[number]

    def _new_writer(self) -> RowWriter:
        """Return what this process begins to write with: the newest dictionary of the file, if that one is whole."""
        last = int(self._db.execute("SELECT coalesce(max(number), 0) FROM dictionaries").fetchone()[0])
        packer = Packer()
        if last:
            with suppress(DamagedRow):
                packer = Packer(last, self._dictionary(last))
        return RowWriter(packer, last)


def _selecting(db: sqlite3.Connection) -> str:
    """Return the query for the columns of a :class:`Row`, also of a file that lacks some."""
    known = columns(db, "records")
    added = ", ".join(name if name in known else _WITHOUT[name] for name in _ADDED)
    return f"SELECT position, watermark_ms, body, {added} FROM records"


def _of_partition_0(batch: Batch) -> Batch:
    if batch.partition != 0:
        raise ConfigurationError(f"the embedded log has one partition, 0; a batch is for partition {batch.partition}")
    return batch
