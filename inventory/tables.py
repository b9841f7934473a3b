"""The tables of the inventory, and what it needs of a database that holds them: SQLite, or what ``app`` hands over."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from streams.sqlite_file import check_before_opening, connect, transaction, undamaged

STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS changes (
  change INTEGER PRIMARY KEY AUTOINCREMENT, site_id TEXT NOT NULL, kind TEXT NOT NULL, row_key TEXT NOT NULL,
  version INTEGER NOT NULL, removed INTEGER NOT NULL, actor TEXT NOT NULL, at_ms INTEGER NOT NULL, body BLOB NOT NULL,
  UNIQUE (site_id, version))""",
    """CREATE TABLE IF NOT EXISTS rows (
  site_id TEXT NOT NULL, kind TEXT NOT NULL, row_key TEXT NOT NULL, change INTEGER NOT NULL, content BLOB NOT NULL,
  PRIMARY KEY (site_id, kind, row_key)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS followers (name TEXT PRIMARY KEY, change INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS waiting_devices (
  follower TEXT NOT NULL, site_id TEXT NOT NULL, device_id TEXT NOT NULL, last_ms INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (follower, site_id, device_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS waiting_topics (
  follower TEXT NOT NULL, topic TEXT NOT NULL, last_ms INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (follower, topic)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS last_seen (
  site_id TEXT NOT NULL, device_id TEXT NOT NULL, last_ms INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (site_id, device_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS clocks (
  site_id TEXT NOT NULL, speaker TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (site_id, speaker)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS host_clocks (follower TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS notices (
  follower TEXT NOT NULL, site_id TEXT NOT NULL, device_id TEXT NOT NULL, code TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (follower, site_id, device_id, code)) WITHOUT ROWID""",
    # Until a version ago these had no follower. They hold nothing that is not said again within seconds.
    "DROP TABLE IF EXISTS pending_devices",
    "DROP TABLE IF EXISTS pending_topics",
)
"""In SQLite's words, each safe to repeat."""

_AT_ONCE = 200
Row = tuple[Any, ...]


class Rows(Protocol):
    """A transaction under way."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Run one statement, its values at each ``?``; the rows that it gives."""
        ...


def upsert(rows: Rows, table: str, values: Sequence[Sequence[object]], on_conflict: str, *more: object) -> None:
    """Insert rows, 200 a statement; what happens to one that is there stands behind ``ON CONFLICT``.

    Args:
        rows: a transaction that writes.
        table: whose columns the values are, all of them in order.
        values: of each row; no two of them conflict with each other.
        on_conflict: the rest of the statement.
        more: the values at each ``?`` in it.
    """
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        marks = ", ".join(f"({', '.join('?' * len(row))})" for row in some)
        statement = f"INSERT INTO {table} VALUES {marks} ON CONFLICT {on_conflict}"
        rows.execute(statement, [*(value for row in some for value in row), *more])


class Tables(Protocol):
    """A database that holds the tables. Any thread may use it."""

    @property
    def where(self) -> str:
        """The database as a person knows it, without a password."""
        ...

    def make(self, statements: Sequence[str]) -> None:
        """Make what is missing."""
        ...

    def read(self) -> AbstractContextManager[Rows]:
        """Return a transaction that only reads."""
        ...

    def write(self) -> AbstractContextManager[Rows]:
        """Return a transaction that may write, the only one at its time; all of it, or nothing.

        Raises:
            Transient: the database cannot be written now.
        """
        ...

    def close(self) -> None:
        """Close it."""
        ...


class SqliteTables:
    """One ``config.db``; several processes may use it."""

    def __init__(self, path: Path) -> None:
        check_before_opening(path, ";".join(STATEMENTS), whole=True)
        self._db = connect(path)
        self._path = path
        self._lock = threading.Lock()

    @property
    def where(self) -> str:
        """See :class:`Tables`."""
        return str(self._path)

    def make(self, statements: Sequence[str]) -> None:
        """See :class:`Tables`."""
        with self.write() as rows:
            for statement in statements:
                rows.execute(statement)

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """See :class:`Tables`."""
        with self._lock, undamaged(self._db):
            yield self

    @contextmanager
    def write(self) -> Iterator[Rows]:
        """See :class:`Tables`."""
        with self._lock, transaction(self._db):
            yield self

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """See :class:`Rows`; inside :meth:`read` and :meth:`write` only."""
        return self._db.execute(statement, tuple(values)).fetchall()

    def close(self) -> None:
        """See :class:`Tables`."""
        self._db.close()
