"""How Linli opens SQLite: WAL, ``synchronous=FULL``, explicit transactions. The one place that knows the pragmas."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from contracts.errors import Permanent, Transient
from system.private_files import make_file, make_folder
from system.sqlite_access import refused_access
from system.sqlite_check import NO_DATABASE, wrong_before_opening

_TRANSIENT_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED}
_REMEDY = "restore it or move it away, with -wal and -shm beside it (`linli docs runbook`: a data file is damaged)"
_PRAGMAS = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA secure_delete=ON; -- what is deleted or replaced is not left in free pages
"""
_OURS_TO_BLAME = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
"""Errors of a statement and its values. Whatever else SQLite refuses is the file's fault: our statements are tested."""


def connect(path: Path, schema: str = "", *, readonly: bool = False) -> sqlite3.Connection:
    """Return a connection to ``path`` in autocommit mode; ``schema`` is run first and must be safe to repeat.

    A file that is there is checked first (``system.sqlite_check``).

    Any thread may use it, one at a time. ``readonly`` opens an existing file without ever writing to it.

    Raises:
        Transient: the disk is full or the file is locked.
        Permanent: the file is not a database this program can read.
    """
    check_before_opening(path, schema)
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


def damaged(path: Path, what: str) -> Permanent:
    """Return the error that tells of a damaged file: which, what is wrong, and what to do."""
    return Permanent(f"{path} is damaged: {what}; {_REMEDY}")


def check_before_opening(path: Path, schema: str = "", *, whole: bool = False) -> None:
    """Raise unless a file that is there may be opened. Arguments as for ``system.sqlite_check``.

    Raises:
        Permanent: it is damaged; says how.
    """
    wrong = wrong_before_opening(path, schema, whole=whole)
    if wrong == NO_DATABASE:
        raise _no_database(path, wrong)
    if wrong:
        raise damaged(path, wrong)


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
    except sqlite3.DatabaseError as error:
        _tell(connection, error)
        raise


@contextmanager
def undamaged(connection: sqlite3.Connection) -> Iterator[None]:
    """Guard the reading that goes on inside the block.

    Raises:
        Transient: the disk is full or the file is locked.
        Permanent: the file is damaged; says which and what to do.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        _tell(connection, error)
        raise
    except (msgspec.MsgspecError, ValueError, zlib.error) as error:
        raise damaged(_path_of(connection), f"what it holds cannot be read: {error}") from error


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
        if told := refused_access(path, error):
            raise Permanent(told) from error
        raise _no_database(path, str(error)) from error


def _no_database(path: Path, what: str) -> Permanent:
    return Permanent(f"{path} cannot be opened as a database: {what}; {_REMEDY}")


def _tell(connection: sqlite3.Connection, error: sqlite3.DatabaseError) -> None:
    """Raise what the error means for whoever uses the file; nothing when the statement is to blame."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT_CODES:
        raise Transient(f"database is not writable now: {error}", retry_after_s=1.0) from error
    if told := refused_access(_path_of(connection), error):
        raise Permanent(told) from error
    if not isinstance(error, _OURS_TO_BLAME):
        raise damaged(_path_of(connection), str(error)) from error


def _path_of(connection: sqlite3.Connection) -> Path:
    """Return the file of a connection, also when it is damaged: this reads nothing of it."""
    try:
        return Path(connection.execute("PRAGMA database_list").fetchone()[2])
    except sqlite3.DatabaseError:
        return Path("a database")
