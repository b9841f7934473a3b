"""The box's one database file: spool rows, lane numbers and the list of uploads, changed together or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import structlog

from edge.spool.entry_sums import add_sums, know_sums, wrong_entry
from system.private_files import make_file
from system.sqlite_check import wrong_before_opening

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, last_n INTEGER, sum INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS lane (lane TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, sum INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS row (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, life_safety INTEGER NOT NULL,
  lane TEXT, seq INTEGER, body BLOB NOT NULL, sum INTEGER, mark INTEGER -- no sum: of an earlier version
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS row_by_lane ON row (lane, seq) WHERE lane IS NOT NULL;
CREATE INDEX IF NOT EXISTS row_unnumbered ON row (life_safety, at_ms) WHERE lane IS NULL;
CREATE TABLE IF NOT EXISTS told (loss INTEGER PRIMARY KEY, sum INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS clock (
  boot TEXT PRIMARY KEY, offset_ms INTEGER NOT NULL, from_n INTEGER NOT NULL, sum INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS upload (
  sha256 TEXT PRIMARY KEY, mime TEXT NOT NULL, created_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL, due_ms INTEGER NOT NULL, sum INTEGER
) STRICT;
"""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What proves damage. A full disk, a lock, no file descriptor or no permission may pass, and are waited for."""
_log = structlog.get_logger("edge.spool.box_db")


class BoxDb:
    """One connection that threads share under a lock; every commit is on the disk (``synchronous=FULL``).

    A file that cannot be opened now is tried again at every use; that raises ``sqlite3.OperationalError`` until it can.
    """

    def __init__(self, path: Path) -> None:
        self._lock, self._path, self._closed = threading.RLock(), path, False
        self._connection: sqlite3.Connection | None = None
        self.opened = 0  # how often: another number may be another file
        try:
            self._ready()
        except sqlite3.OperationalError as error:
            _log.error("database cannot be opened now; it is tried again", path=path.name, error=str(error))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction: durable when the block ends, undone when it raises."""
        with self._lock:
            connection = self._ready()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if isinstance(error, sqlite3.Error) and is_damage(error):
                    self._give_up(error)
                elif connection.in_transaction:  # a full disk may have undone it already
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for reading."""
        with self._lock:
            try:
                yield self._ready()
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    self._give_up(error)
                raise

    def close(self) -> None:
        """Close the file; using it afterwards raises."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _ready(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._closed:
                raise sqlite3.ProgrammingError("the database is closed")
            self._connection = _opened(self._path)
            self.opened += 1
        return self._connection

    def _give_up(self, error: sqlite3.Error) -> None:
        """Close a file that turned out damaged: the next use sets it aside and begins a new one."""
        _log.error("database is damaged", path=self._path.name, error=str(error))
        self.opened += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error proves that the file is damaged; whatever may pass does not.

    >>> is_damage(sqlite3.OperationalError("database or disk is full"))
    False
    """
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


def damage(what: str) -> sqlite3.DatabaseError:
    """Return the error that says of the file that it is damaged, as SQLite would."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def may_pass(error: sqlite3.Error) -> bool:
    """Return whether trying again may help: the disk, a lock, or a damaged file that makes room for a new one."""
    return isinstance(error, sqlite3.OperationalError) or is_damage(error)


def _opened(path: Path) -> sqlite3.Connection:
    """Return the database; one that is proven damaged is set aside as a whole, and a new one begins.

    Raises:
        sqlite3.OperationalError: it cannot be opened now.
    """
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise _passing(error) from None
        try:
            aside = _set_aside(path)
        except OSError as refused:
            raise sqlite3.OperationalError(f"damaged, and cannot be set aside: {refused}") from None
        how = f"`sqlite3 {aside.name} .recover` gives what it still holds; keep its -wal beside it"
        _log.error("database damaged, set aside; a new one begins", path=path.name, aside=aside.name, recover=how)
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        raise _passing(error) from None


def _passing(error: sqlite3.DatabaseError) -> sqlite3.OperationalError:
    return error if isinstance(error, sqlite3.OperationalError) else sqlite3.OperationalError(str(error))


def _set_aside(path: Path) -> Path:
    """Move the file and what belongs to it to a name of its own, so that SQLite still finds them together.

    Its log goes first: a new file beside the old log would take the old pages for its own.
    """
    aside = path.with_suffix(f".damaged-{path.stat().st_mtime_ns}")
    for extra in ("-wal", "-shm", ""):
        part = path.with_name(path.name + extra)
        if part.exists():
            part.rename(aside.with_name(aside.name + extra))
    return aside


def _open(path: Path) -> sqlite3.Connection:
    if _made(path):
        _check(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.text_factory = _text
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # what was dropped is not left in free pages
        connection.executescript(_SCHEMA)
        know_sums(connection)
        add_sums(connection)
        wrong = wrong_entry(connection, _SCHEMA)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    if wrong:
        connection.close()
        raise damage(wrong)
    return connection


def _text(stored: bytes) -> str:
    """Return a text, also one that is none any more: its checksum says so, not an error that might pass."""
    return stored.decode(errors="backslashreplace")


def _made(path: Path) -> bool:
    """Make the file for the owner alone; whether there is anything in it. A full disk has no room for a name either."""
    try:
        make_file(path)
        return path.stat().st_size > 0
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from None


def _check(path: Path) -> None:
    """Raise when a page of the file is damaged; a spool of 80 MB takes a fifth of a second.

    Read-only: whoever may write takes the log into a damaged file when it closes, and deletes it.
    """
    try:
        wrong = wrong_before_opening(path, _SCHEMA) or _whole_check(path)
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from None
    if wrong:
        raise damage(wrong)


def _whole_check(path: Path) -> str:
    """Return what is wrong with a page or an index of the file, empty when nothing is."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    connection.text_factory = _text
    try:
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    finally:
        connection.close()
    return "" if said == "ok" else str(said)
