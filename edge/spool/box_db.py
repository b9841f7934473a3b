"""The box's one database file: spool rows, lane numbers and the list of uploads, changed together or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

from system.private_files import make_file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS lane (lane TEXT PRIMARY KEY, next_seq INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS row (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, life_safety INTEGER NOT NULL,
  lane TEXT, seq INTEGER, body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS row_by_lane ON row (lane, seq) WHERE lane IS NOT NULL;
CREATE INDEX IF NOT EXISTS row_unnumbered ON row (life_safety, at_ms) WHERE lane IS NULL;
CREATE TABLE IF NOT EXISTS upload (
  sha256 TEXT PRIMARY KEY, mime TEXT NOT NULL, created_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL, due_ms INTEGER NOT NULL
) STRICT;
"""
_log = structlog.get_logger("edge.spool.box_db")


class BoxDb:
    """One connection that threads share under a lock; every commit is on the disk (``synchronous=FULL``)."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as error:
            aside = path.with_suffix(f".damaged-{path.stat().st_mtime_ns}")
            _log.error(
                "database damaged, set aside; a new one begins", path=path.name, aside=aside.name, error=str(error)
            )
            path.rename(aside)
            for extra in ("-wal", "-shm"):
                path.with_name(path.name + extra).unlink(missing_ok=True)
            self._connection = _open(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction: durable when the block ends, undone when it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have undone it already
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for reading."""
        with self._lock:
            yield self._connection

    def close(self) -> None:
        """Close the file; using it afterwards raises."""
        with self._lock:
            self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    make_file(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # what was dropped is not left in free pages
        connection.executescript(_SCHEMA)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
