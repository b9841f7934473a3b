"""How Linli opens SQLite: WAL, ``synchronous=FULL``, explicit transactions. The one place that knows the pragmas."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import Permanent, Transient
from system.private_files import make_file, make_folder

_TRANSIENT_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED}
_PRAGMAS = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA secure_delete=ON; -- what is deleted or replaced is not left in free pages
"""
_DAMAGED_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(path: Path, schema: str = "", *, readonly: bool = False) -> sqlite3.Connection:
    """Return a connection to ``path`` in autocommit mode; ``schema`` is run first and must be safe to repeat.

    Any thread may use it, one at a time. ``readonly`` opens an existing file without ever writing to it.

    Raises:
        Transient: the disk is full or the file is locked.
        Permanent: the file is not a database this program can read.
    """
    with _openable(path):
        if readonly:
            return _run(
                sqlite3.connect(
                    f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=10
                ),
                schema,
            )
        make_folder(path.parent)
        make_file(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        return _run(connection, _PRAGMAS + schema)


def empty_wal(path: Path) -> None:
    """Write the journal's pages into the file and empty it, so that older ones are not left in it; or do nothing when
    somebody reads on for ten seconds.
    """
    connection = connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def add_column(connection: sqlite3.Connection, table: str, column: str) -> None:
    """Give a table that an earlier version made the ``column`` (its definition) that this one writes.

    Raises:
        Permanent: the file is damaged.
    """
    if column.split(maxsplit=1)[0] not in columns(connection, table):
        with undamaged(connection):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns.

    Raises:
        Permanent: the file is damaged.
    """
    with undamaged(connection):
        return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield one write transaction: committed (and on disk) on leaving, rolled back on any error.

    Raises:
        Transient: the disk is full or the file is locked; nothing was kept.
        Permanent: the file is damaged.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT_CODES:
            raise Transient(f"database is not writable now: {error}", retry_after_s=1.0) from error
        raise
    except sqlite3.DatabaseError as error:
        _tell_damage(connection, error)
        raise


@contextmanager
def undamaged(connection: sqlite3.Connection) -> Iterator[None]:
    """Guard the reading that goes on inside the block.

    Raises:
        Permanent: the file is damaged; says which and what to do.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        _tell_damage(connection, error)
        raise


def _run(connection: sqlite3.Connection, script: str) -> sqlite3.Connection:
    """Return ``connection`` after ``script``; closed when that fails."""
    try:
        connection.executescript(script)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _openable(path: Path) -> Iterator[None]:
    """Guard the opening of a file inside the block; also of a new one, as of a log's next day."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT_CODES:
            raise Transient(f"{path} cannot be opened now: {error}", retry_after_s=1.0) from error
        raise Permanent(f"{path} cannot be opened as a database: {error}; restore it or move it away") from error


def _tell_damage(connection: sqlite3.Connection, error: sqlite3.DatabaseError) -> None:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED_CODES:
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        raise Permanent(f"{path} is damaged: {error}; restore it or move it away") from error
