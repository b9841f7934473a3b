"""``archive.db``: how far each partition is archived, open days' sealed parts, finished segments, what was erased.

Each row has a checksum, and all are looked at when the file is opened: a key that was damaged would hide its row. What
it holds of events is sealed as in the segments; the rows in force are not, so erasures reach them too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from contracts.erasure import Erasure, ReferenceKey
from contracts.events import Configuration, ReferenceKind
from streams.archive.cutter import OpenDay, RowKey
from streams.archive.segment import SegmentHead, file_name
from streams.row_checksum import Value, is_intact, row_checksum
from streams.sqlite_file import add_column, connect, damaged, transaction, undamaged

SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (
  log_id TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL, day TEXT NOT NULL,
  watermark_ms INTEGER NOT NULL, checksum INTEGER, PRIMARY KEY (log_id, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
  log_id TEXT NOT NULL, partition INTEGER NOT NULL, site_id TEXT NOT NULL, kind TEXT NOT NULL, row_key TEXT NOT NULL,
  body BLOB NOT NULL, checksum INTEGER, PRIMARY KEY (log_id, partition, site_id, kind, row_key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_days (
  log_id TEXT NOT NULL, partition INTEGER NOT NULL, site_id TEXT NOT NULL, day TEXT NOT NULL, ended INTEGER NOT NULL,
  body BLOB NOT NULL, checksum INTEGER, PRIMARY KEY (log_id, partition, site_id, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_parts (
  name TEXT NOT NULL, number INTEGER NOT NULL, sealed BLOB NOT NULL, checksum INTEGER, PRIMARY KEY (name, number));
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, site_id TEXT NOT NULL, day TEXT NOT NULL,
  body BLOB NOT NULL, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasures (
  site_id TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL, before_ms INTEGER NOT NULL, checksum INTEGER,
  PRIMARY KEY (site_id, kind, digest)) WITHOUT ROWID;
"""
_CHECKED = {
    "cursors": "log_id, partition, position, day, watermark_ms",
    "rows": "log_id, partition, site_id, kind, row_key, body",
    "open_days": "log_id, partition, site_id, day, ended, body",
    "open_parts": "name, number",  # what is sealed proves itself
    "segments": "name, site_id, day, body",
    "erasures": "site_id, kind, digest, before_ms",
}
"""Table → what its checksum is of."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A finished segment. ``sha256`` is that of the file."""

    head: SegmentHead
    batches: int
    events: int
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """Its file in the archive's folder."""
        return file_name(self.head)


class Cursor(msgspec.Struct, frozen=True):
    """Everything before ``position`` is archived, or waits in open days."""

    position: int
    day: str = ""
    watermark_ms: int = 0


class ArchiveCatalogue:
    """One ``archive.db``. Several processes may use it, one writing at a time under the archive's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = connect(path, SCHEMA)
        for table in _CHECKED:
            add_column(self._db, table, "checksum INTEGER")
        try:
            self.check_rows()
        except BaseException:
            self._db.close()
            raise

    def check_rows(self) -> None:
        """Raise unless every row is what was written.

        Raises:
            Permanent: one is damaged; names the file.
        """
        for table, columns in _CHECKED.items():
            with undamaged(self._db):
                rows = self._db.execute(f"SELECT {columns}, checksum FROM {table}")
                wrong = next((values for *values, checksum in rows if not is_intact(checksum, *values)), None)
            if wrong is not None:
                raise damaged(self._path, f"a row of its table {table} is not what was written")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- how far a partition is ---------------------------------------------------------------------------------------

    def cursor(self, log_id: str, partition: int) -> Cursor | None:
        """Return how far the partition is archived; None when nothing is."""
        with undamaged(self._db):
            row = self._db.execute(
                "SELECT position, day, watermark_ms FROM cursors WHERE log_id = ? AND partition = ?",
                (log_id, partition),
            ).fetchone()
        return None if row is None else Cursor(*row)

    def rows(self, log_id: str, partition: int) -> list[Configuration]:
        """Return the configuration in force there."""
        with undamaged(self._db):
            rows = self._db.execute(
                "SELECT body FROM rows WHERE log_id = ? AND partition = ?", (log_id, partition)
            ).fetchall()
            return [_ROW.decode(body) for (body,) in rows]

    def open_days(self, log_id: str, partition: int, *, ended: bool) -> list[OpenDay]:
        """Return site-days that are not over, or those that are but have no segment yet."""
        with undamaged(self._db):
            rows = self._db.execute(
                "SELECT body FROM open_days WHERE log_id = ? AND partition = ? AND ended = ? ORDER BY site_id, day",
                (log_id, partition, int(ended)),
            ).fetchall()
            return [_DAY.decode(body) for (body,) in rows]

    def open_heads(self) -> list[SegmentHead]:
        """Return the heads of every site-day that has no segment yet."""
        with undamaged(self._db):
            rows = self._db.execute("SELECT site_id, day, log_id, partition FROM open_days").fetchall()
        return [SegmentHead(site_id=s, day=d, log_id=log, partition=p) for s, d, log, p in rows]

    def has_day(self, log_id: str, partition: int, day: str) -> bool:
        """Return whether a site of this log's partition has a segment, or an open day, of this very label."""
        of = (log_id, partition)
        if any((s.head.log_id, s.head.partition, s.head.day) == (*of, day) for s in self.segments()):
            return True
        return any(each.day == day for ended in (True, False) for each in self.open_days(*of, ended=ended))

    def advance(
        self,
        log_id: str,
        partition: int,
        cursor: Cursor,
        *,
        parts: Sequence[tuple[str, int, bytes]],
        days: Sequence[OpenDay],
        over: Sequence[OpenDay],
        rows: Mapping[RowKey, Configuration | None],
    ) -> None:
        """Keep sealed parts (segment's name, number, bytes), open days and those over, changed rows and the cursor."""
        of = (log_id, partition)
        with transaction(self._db) as db:
            for part in parts:
                _put_part(db, *part)
            for ended, some in enumerate((days, over)):
                for day in some:
                    _put(db, "open_days", *of, day.site_id, day.day, ended, msgspec.msgpack.encode(day))
            for key, row in rows.items():
                if row is None:
                    db.execute(
                        "DELETE FROM rows WHERE log_id = ? AND partition = ? AND site_id = ? AND kind = ?"
                        " AND row_key = ?",
                        (*of, *key),
                    )
                else:
                    _put(db, "rows", *of, *key, msgspec.msgpack.encode(row))
            _put(db, "cursors", *of, cursor.position, cursor.day, cursor.watermark_ms)

    # --- parts and segments -------------------------------------------------------------------------------------------

    def parts(self, name: str) -> Iterator[bytes]:
        """Yield the sealed parts of an open segment, in order."""
        with undamaged(self._db):
            rows = self._db.execute("SELECT sealed FROM open_parts WHERE name = ? ORDER BY number", (name,))
            for (sealed,) in rows:
                yield sealed

    def replace_parts(self, name: str, parts: Sequence[bytes]) -> None:
        """Put other bytes in place of the same parts of an open segment."""
        with transaction(self._db) as db:
            db.execute("DELETE FROM open_parts WHERE name = ?", (name,))
            for number, part in enumerate(parts):
                _put_part(db, name, number, part)

    def sealed(self, segment: Segment) -> None:
        """Note that the segment's file is durable: its open parts may go."""
        with transaction(self._db) as db:
            _list(db, segment)
            db.execute("DELETE FROM open_parts WHERE name = ?", (segment.name,))
            db.execute(
                "DELETE FROM open_days WHERE log_id = ? AND partition = ? AND site_id = ? AND day = ?",
                (segment.head.log_id, segment.head.partition, segment.head.site_id, segment.head.day),
            )

    def rewritten(self, segment: Segment) -> None:
        """Note that the segment's file was replaced by this one."""
        with transaction(self._db) as db:
            _list(db, segment)

    def removed(self, name: str) -> None:
        """Note that the segment's file is gone."""
        with transaction(self._db) as db:
            db.execute("DELETE FROM segments WHERE name = ?", (name,))

    def segments(self, site_id: str | None = None) -> list[Segment]:
        """Return finished segments, of one site or all, by site and day."""
        with undamaged(self._db):
            rows = self._db.execute(
                "SELECT body FROM segments WHERE ?1 IS NULL OR site_id = ?1 ORDER BY site_id, day, name", (site_id,)
            ).fetchall()
            return [_SEGMENT.decode(body) for (body,) in rows]

    def forget_site(self, site_id: str) -> None:
        """Forget the site: nothing of it is left here."""
        with transaction(self._db) as db:
            db.execute("DELETE FROM open_parts WHERE name LIKE ? || '/%'", (site_id,))
            for table in ("segments", "open_days", "rows"):
                db.execute(f"DELETE FROM {table} WHERE site_id = ?", (site_id,))

    # --- what was erased ----------------------------------------------------------------------------------------------

    def erase(self, erasure: Erasure, rows: Mapping[RowKey, Configuration | None]) -> None:
        """Write nothing from here on that names the reference; ``rows`` in force are what is left of them."""
        with transaction(self._db) as db:
            of = (erasure.site_id, erasure.kind.value, erasure.digest)
            query = "SELECT before_ms FROM erasures WHERE site_id = ? AND kind = ? AND digest = ?"
            known = db.execute(query, of).fetchone()
            _put(db, "erasures", *of, max(erasure.before_ms, known[0] if known else 0))
            for (site_id, kind, key), row in rows.items():
                where = "site_id = ? AND kind = ? AND row_key = ?"
                if row is None:
                    db.execute(f"DELETE FROM rows WHERE {where}", (site_id, kind, key))
                    continue
                held = db.execute(f"SELECT log_id, partition FROM rows WHERE {where}", (site_id, kind, key)).fetchall()
                for log_id, partition in held:
                    _put(db, "rows", log_id, partition, site_id, kind, key, msgspec.msgpack.encode(row))

    def renew_digests(self, key: ReferenceKey) -> int:
        """Put digests with the key in place of those that an earlier version kept without; how many."""
        old = [erasure for erasure in self.erasures() if key.keyed(erasure.digest) != erasure.digest]
        for erasure in old:
            self.erase(msgspec.structs.replace(erasure, digest=key.keyed(erasure.digest)), {})
            values = (erasure.site_id, erasure.kind.value, erasure.digest)
            with transaction(self._db) as db:
                db.execute("DELETE FROM erasures WHERE site_id = ? AND kind = ? AND digest = ?", values)
        return len(old)

    def erasures(self) -> list[Erasure]:
        """Return everything that was erased."""
        with undamaged(self._db):
            rows = self._db.execute("SELECT site_id, kind, digest, before_ms FROM erasures").fetchall()
        return [Erasure(s, ReferenceKind(k), d, int(b)) for s, k, d, b in rows]

    def all_rows(self, site_id: str) -> list[Configuration]:
        """Return the site's configuration in force, in whatever partitions it is."""
        with undamaged(self._db):
            rows = self._db.execute("SELECT body FROM rows WHERE site_id = ?", (site_id,)).fetchall()
            return [_ROW.decode(body) for (body,) in rows]


def _list(db: sqlite3.Connection, segment: Segment) -> None:
    body = msgspec.msgpack.encode(segment)
    _put(db, "segments", segment.name, segment.head.site_id, segment.head.day, body)


def _put(db: sqlite3.Connection, table: str, *values: Value) -> None:
    columns, marks = _CHECKED[table], ", ".join("?" * len(values))
    statement = f"INSERT OR REPLACE INTO {table} ({columns}, checksum) VALUES ({marks}, ?)"
    db.execute(statement, (*values, row_checksum(*values)))


def _put_part(db: sqlite3.Connection, name: str, number: int, sealed: bytes) -> None:
    statement = "INSERT OR REPLACE INTO open_parts (name, number, sealed, checksum) VALUES (?, ?, ?, ?)"
    db.execute(statement, (name, number, sealed, row_checksum(name, number)))


_ROW: msgspec.msgpack.Decoder[Configuration] = msgspec.msgpack.Decoder(Configuration)
_DAY = msgspec.msgpack.Decoder(OpenDay)
_SEGMENT = msgspec.msgpack.Decoder(Segment)
