"""The disk spool before a store of results: what is to be written, with the cursors of the sources it came from.

A step of a source (points, its new cursor, its state) is kept whole, and those of a round in one transaction, so that
a crash neither loses nor duplicates. Points leave in the order in which they came. Over its quota the oldest go,
counted and declared. One process, two threads.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from contracts.durations import DAY_MS
from streams.results.points import NS_PER_MS, Point, loss_point
from streams.results.target import RejectedPoint
from streams.row_checksum import Value, is_intact, row_checksum
from streams.sqlite_file import add_column, connect, damaged, transaction, undamaged

SCHEMA = """
CREATE TABLE IF NOT EXISTS queue (
  n INTEGER PRIMARY KEY AUTOINCREMENT, points INTEGER NOT NULL, bytes INTEGER NOT NULL, added_ms INTEGER NOT NULL,
  body BLOB NOT NULL, checksum INTEGER);
CREATE TABLE IF NOT EXISTS sources (
  name TEXT PRIMARY KEY, identity TEXT NOT NULL, cursor INTEGER NOT NULL, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS placed (ms INTEGER NOT NULL, slot BLOB NOT NULL, key BLOB NOT NULL,
  PRIMARY KEY (ms, slot)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
CHUNK_POINTS = 1_000
MAX_REJECTED = 10_000
PLACED_MS = 35 * DAY_MS  # longer than any event may be late (30 days)
_POINTS = msgspec.msgpack.Decoder(list[Point])


class SourceBatch(msgspec.Struct, frozen=True):
    """One batch of a source: points, and where it goes on. ``more``: it stopped for the bound, not at the end."""

    source: str
    identity: str
    cursor: int
    points: Sequence[Point] = ()
    state: Mapping[str, bytes] = {}
    more: bool = False


class Chunk(msgspec.Struct, frozen=True):
    """Points as they lie in the queue."""

    n: int
    added_ms: int
    bytes: int
    points: list[Point]


class Depth(msgspec.Struct, frozen=True):
    """How much waits, since when (epoch ms; 0: nothing does), and what was lost since the spool was made."""

    points: int
    bytes: int
    oldest_ms: int
    rejected: int
    dropped: int


class PointSpool:
    """One spool file. Thread-safe.

    Args:
        quota_bytes: what waits may take on disk; above it the oldest is dropped.
    """

    def __init__(self, path: Path, quota_bytes: int = 4 << 30) -> None:
        self._db = connect(path, SCHEMA)
        self._path = path
        for table in ("queue", "sources", "state"):
            add_column(self._db, table, "checksum INTEGER")
        self._quota_bytes = quota_bytes
        self._lock = threading.Lock()
        with undamaged(self._db):
            self._size = int(self._db.execute("SELECT coalesce(sum(bytes), 0) FROM queue").fetchone()[0])

    def cursor(self, source: str, identity: str) -> int | None:
        """Return where this source goes on; None when it was never read, or is another one of the same name."""
        with self._lock, undamaged(self._db):
            query = "SELECT identity, cursor, checksum FROM sources WHERE name = ?"
            row = self._db.execute(query, (source,)).fetchone()
        if row is not None:
            self._check(f"cursor of {source}", row[2], source, row[0], row[1])
        return int(row[1]) if row is not None and row[0] == identity else None

    def state(self, key: str) -> bytes | None:
        """Return a row of state, or None."""
        with self._lock, undamaged(self._db):
            row = self._db.execute("SELECT body, checksum FROM state WHERE key = ?", (key,)).fetchone()
        if row is not None:
            self._check(f"state {key}", row[1], key, row[0])
        return None if row is None else bytes(row[0])

    def append(self, steps: Sequence[SourceBatch], now_ms: int) -> int:
        """Keep a step of each of these sources, all of it durably or nothing; how many points the quota dropped for it.

        Raises:
            Transient: the disk is full or the file busy; nothing was kept.
        """
        with self._writing() as db:
            self._enqueue(self._place([point for step in steps for point in step.points]), now_ms)
            cursors = [(step.source, step.identity, step.cursor) for step in steps]
            into = "INSERT OR REPLACE INTO sources (name, identity, cursor, checksum) VALUES (?, ?, ?, ?)"
            db.executemany(into, [(*cursor, row_checksum(*cursor)) for cursor in cursors])
            rows = [row for step in steps for row in step.state.items()]
            into = "INSERT OR REPLACE INTO state (key, body, checksum) VALUES (?, ?, ?)"
            db.executemany(into, [(*row, row_checksum(*row)) for row in rows])
            return self._keep_quota(now_ms)

    def oldest(self, max_points: int) -> list[Chunk]:
        """Return the oldest chunks, at least one if there is any, together at most ``max_points``."""
        with self._lock, undamaged(self._db):
            query = "SELECT n, points, added_ms, bytes, body, checksum FROM queue ORDER BY n LIMIT 64"
            rows = self._db.execute(query).fetchall()
        chunks: list[Chunk] = []
        count = 0
        for n, points, added_ms, size, body, checksum in rows:
            self._check(f"chunk {n}", checksum, points, size, added_ms, body)
            if chunks and count + points > max_points:
                break
            chunks.append(Chunk(n, added_ms, size, _POINTS.decode(zlib.decompress(body))))
            count += points
        return chunks

    def done(self, chunks: Sequence[Chunk], bad: Sequence[RejectedPoint], now_ms: int) -> None:
        """Note that these chunks are with the store; keep ``bad`` of their points aside with the reason."""
        with self._writing() as db:
            for chunk in chunks:
                if db.execute("DELETE FROM queue WHERE n = ?", (chunk.n,)).rowcount:  # else its quota took it meanwhile
                    self._size -= chunk.bytes
            if bad:
                rows = [(now_ms, b.reason[:300], msgspec.msgpack.encode(b.point)) for b in bad]
                db.executemany("INSERT INTO rejected (at_ms, reason, body) VALUES (?, ?, ?)", rows)
                db.execute("DELETE FROM rejected WHERE n <= (SELECT max(n) FROM rejected) - ?", (MAX_REJECTED,))
                _count(db, "rejected", len(bad))

    def rejected(self, limit: int) -> list[tuple[int, RejectedPoint]]:
        """Return the newest points that the store refused, with the time it did."""
        with self._lock, undamaged(self._db):
            query = "SELECT at_ms, reason, body FROM rejected ORDER BY n DESC LIMIT ?"
            rows = self._db.execute(query, (limit,)).fetchall()
        return [(int(at), RejectedPoint(msgspec.msgpack.decode(body, type=Point), reason)) for at, reason, body in rows]

    def depth(self) -> Depth:
        """Return how much waits."""
        with self._lock, undamaged(self._db):
            query = "SELECT total(points), total(bytes), coalesce(min(added_ms), 0) FROM queue"
            points, size, oldest_ms = self._db.execute(query).fetchone()
            counts = dict(self._db.execute("SELECT name, value FROM counters").fetchall())
        return Depth(int(points), int(size), int(oldest_ms), counts.get("rejected", 0), counts.get("dropped", 0))

    def forget_before(self, at_ms: int, state_key: str) -> None:
        """Forget which times were given to points older than ``at_ms`` less 35 days, and rows of state below a key."""
        with self._lock, transaction(self._db) as db:
            db.execute("DELETE FROM placed WHERE ms < ?", (at_ms - PLACED_MS,))
            db.execute("DELETE FROM state WHERE key < ? AND key >= ?", (state_key, state_key.partition("/")[0] + "/"))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a transaction that may change the queue; its size is as before when it fails."""
        with self._lock:
            before = self._size
            try:
                with transaction(self._db) as db:
                    yield db
            except BaseException:
                self._size = before
                raise

    def _check(self, what: str, checksum: object, *values: Value) -> None:
        if not is_intact(checksum, *values):
            raise damaged(self._path, f"{what} is not what was written")

    def _place(self, points: Sequence[Point]) -> list[Point]:
        """Return points with their own nanosecond each; those that were given one before are left out."""
        placed = []
        for point in points:
            if not point.key:
                placed.append(point)
                continue
            at_ns = self._slot(point)
            if at_ns is not None:
                placed.append(msgspec.structs.replace(point, at_ns=at_ns))
        return placed

    def _slot(self, point: Point) -> int | None:
        """Return this key's own nanosecond within its millisecond; None when it is in the queue or beyond it."""
        ms, key = point.at_ns // NS_PER_MS, _digest(point.key)
        offset = int.from_bytes(key, "big") % NS_PER_MS
        for at_ns in (ms * NS_PER_MS + (offset + nth) % NS_PER_MS for nth in range(NS_PER_MS)):
            slot = _digest(f"{point.series}\x1f{at_ns}")
            row = self._db.execute("SELECT key FROM placed WHERE ms = ? AND slot = ?", (ms, slot)).fetchone()
            if row is None:
                self._db.execute("INSERT INTO placed VALUES (?, ?, ?)", (ms, slot, key))
                return at_ns
            if row[0] == key:
                return None
        return None

    def _enqueue(self, points: Sequence[Point], now_ms: int) -> None:
        for start in range(0, len(points), CHUNK_POINTS):
            part = points[start : start + CHUNK_POINTS]
            body = zlib.compress(msgspec.msgpack.encode(part), 1)
            self._db.execute(
                "INSERT INTO queue (points, bytes, added_ms, body, checksum) VALUES (?, ?, ?, ?, ?)",
                (len(part), len(body), now_ms, body, row_checksum(len(part), len(body), now_ms, body)),
            )
            self._size += len(body)

    def _keep_quota(self, now_ms: int) -> int:
        dropped, last = 0, 0
        if self._size > self._quota_bytes:
            for n, points, part in self._db.execute("SELECT n, points, bytes FROM queue ORDER BY n"):
                dropped, last = dropped + points, n
                self._size -= part
                if self._size <= self._quota_bytes:
                    break
        if dropped:
            self._db.execute("DELETE FROM queue WHERE n <= ?", (last,))
            _count(self._db, "dropped", dropped)
            self._enqueue(self._place([loss_point("quota", dropped, now_ms, f"quota/{last}")]), now_ms)
        return dropped


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _count(db: sqlite3.Connection, name: str, more: int) -> None:
    db.execute(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, more),
    )
