"""A database as this room uses it: one writer at a time, reads that see one state. SQLite; ``postgresql`` is beside."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, RowMapping, Select, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError

from contracts.errors import ConfigurationError, Permanent
from contracts.extras import not_installed
from contracts.secrets import Passwords
from incidents.store import table_sums
from incidents.store.leases import Leases, UncontestedLeases
from system.private_files import make_file, make_folder
from system.sqlite_access import refused_access
from system.sqlite_check import WHOLE_BYTES, wrong_before_opening

T = TypeVar("T")

_LOOK_S = 0.5
_PASSING_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED}
_OURS_TO_BLAME = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
"""Errors of a statement and its values. Whatever else SQLite refuses is the file's fault: our statements are tested."""
_ASKED_AT_ONCE = 256
_BUSY_MS = 30_000  # another process (linli users) may hold the file for the length of its transaction


class Database(Protocol):
    """What :class:`incidents.store.store.Store` needs of a database."""

    @property
    def where(self) -> str:
        """The database as a person knows it, without a password."""
        ...

    def write(self) -> AbstractContextManager[Connection]:
        """Return a transaction that may write: the only one at its time, committed on leaving.

        Raises:
            Transient: the server is away, or refuses for now; nothing was kept, unless it went away while committing.
        """
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Return a transaction that sees one state of the database throughout.

        Raises:
            Transient: the server is away, or refuses for now.
        """
        ...

    def follow(self, stop: threading.Event, on_commit: Callable[[], None]) -> None:
        """Call ``on_commit`` until ``stop``, after commits of other processes, or often when they cannot be heard."""
        ...

    def leases(self) -> Leases:
        """Return the leases of this process, among those that share the database."""
        ...

    def check_rows(self, *, quick: bool = False) -> None:
        """Raise unless every row is what was written, as far as that is ours to know: a server looks after its pages.

        Args:
            quick: look at the rows of a small file only, of a large one at its tables.

        Raises:
            Permanent: the file is damaged; says which, what and what to do.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


def open_database(
    url: str, *, synchronous: str = "FULL", schema: str = "", passwords: Passwords | None = None
) -> Database:
    """Return the database at ``url``; a server is first asked when the first transaction begins.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``.
        synchronous: SQLite's own setting; anything but FULL is for tests that do not test durability.
        schema: PostgreSQL only: the schema that holds the tables, and has a writer of its own.
        passwords: PostgreSQL only: what proves the role, asked at each connection; None leaves it to URL and libpq.

    Raises:
        ConfigurationError: when the URL cannot be used.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        shown = re.sub(r":[^:/@]*@", ":***@", url)[:80]
        raise ConfigurationError(f"incidents url {shown!r} is not a database URL like sqlite:///FILE") from None
    match parsed.get_backend_name():
        case "sqlite":
            return SqliteDatabase(parsed, synchronous)
        case "postgresql":
            return _postgresql(parsed, schema, passwords)
        case other:
            raise ConfigurationError(f"incidents url: {other} is no database that Linli knows: sqlite, postgresql")


def _postgresql(url: URL, schema: str, passwords: Passwords | None) -> Database:
    try:
        from incidents.store.postgresql import PostgresDatabase
    except ImportError as error:
        raise not_installed(error) from None
    return PostgresDatabase(url, schema=schema, passwords=passwords)


def select_by_ids(
    connection: Connection, query: Select[*tuple[Any, ...]], ids: Sequence[Any], **more: object
) -> Iterator[RowMapping]:
    """Yield the rows of ``query`` for all of ``ids``, which it takes as an expanding parameter of that name.

    However many there are, they are asked for in a few different lengths (the last is repeated): a statement of a
    length that was met before is compiled and, on a server, prepared.
    """
    for at in range(0, len(ids), _ASKED_AT_ONCE):
        some = padded_to_power_of_two(ids[at : at + _ASKED_AT_ONCE])
        yield from connection.execute(query, {"ids": some, **more}).mappings()


def padded_to_power_of_two(ids: Sequence[T]) -> list[T]:
    """Return ``ids``, of which there is one at least, up to a power of two of them: the last is repeated.

    >>> padded_to_power_of_two([1, 2, 3, 4, 5])
    [1, 2, 3, 4, 5, 5, 5, 5]
    """
    missing = (1 << (len(ids) - 1).bit_length()) - len(ids)
    return [*ids, *[ids[-1]] * missing]


class SqliteDatabase:
    """A file of SQLite (WAL). Its writers exclude each other by the file's own lock.

    Raises:
        ConfigurationError: when the URL names no file.
    """

    def __init__(self, url: URL, synchronous: str) -> None:
        if not url.database or url.database == ":memory:":
            raise ConfigurationError("incidents url: SQLite needs a file, such as sqlite:///data/incidents.db")
        self._path = Path(url.database)
        make_folder(self._path.parent)
        make_file(self._path)
        if wrong := wrong_before_opening(self._path, whole=True):
            raise damaged(self._path, wrong)
        # As many connections as the console's thread pool may ask for at once: a burst of pages must not starve it.
        self._engine = create_engine(url, pool_size=8, max_overflow=64)
        self._writing = threading.Lock()
        event.listen(self._engine, "connect", lambda connection, _record: _set_up(connection, synchronous))
        event.listen(self._engine, "begin", _begin)

    @property
    def where(self) -> str:
        """See :class:`Database`."""
        return self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """See :class:`Database`."""
        with self._undamaged(), self._writing, self._engine.connect() as plain:
            connection = plain.execution_options(linli_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See :class:`Database`."""
        with self._undamaged(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        """Guard what goes on inside the block: raises Permanent when the file is damaged, and says which."""
        try:
            yield
        except (DatabaseError, sqlite3.DatabaseError) as error:
            orig = error.orig if isinstance(error, DatabaseError) else error
            passes = getattr(orig, "sqlite_errorcode", 0) & 0xFF in _PASSING_CODES
            if passes or isinstance(orig, _OURS_TO_BLAME):
                raise
            if told := refused_access(self._path, orig):
                raise Permanent(told) from error
            raise damaged(self._path, str(orig)) from error
        except UnicodeDecodeError as error:
            raise damaged(self._path, str(error)) from error

    def follow(self, stop: threading.Event, on_commit: Callable[[], None]) -> None:
        """See :class:`Database`: SQLite counts the commits of others, which costs a look at shared memory to read."""
        with self._engine.connect() as connection:
            seen = None
            while not stop.wait(_LOOK_S):
                count = connection.exec_driver_sql("PRAGMA data_version").scalar()
                connection.rollback()
                if count != seen:
                    on_commit()
                seen = count

    def leases(self) -> Leases:
        """See :class:`Database`: one process works on a file (its folder is locked), so everything is its own."""
        return UncontestedLeases()

    def check_rows(self, *, quick: bool = False) -> None:
        """See :class:`Database`. A connection of its own reads what is on disk, not what another one remembers."""
        only = {"schema_version"} if quick and self._path.stat().st_size > WHOLE_BYTES else None
        uri = f"file:{quote(str(self._path))}?mode=ro"
        with (
            self._undamaged(),
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_MS / 1000)) as db,
        ):
            table_sums.register(db)
            wrong = table_sums.wrong_on_disk(db, only)
        if wrong:
            raise damaged(self._path, wrong)

    def close(self) -> None:
        """See :class:`Database`."""
        self._engine.dispose()


def sqlite_of(connection: Connection) -> sqlite3.Connection | None:
    """Return SQLite's own connection below one that is of a file; None of a server's."""
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, sqlite3.Connection) else None


def file_of(db: sqlite3.Connection) -> Path:
    """Return the file of a connection."""
    return Path(db.execute("PRAGMA database_list").fetchone()[2])


def damaged(path: Path, what: str) -> Permanent:
    """Return the error that tells of a damaged file: which, what is wrong, and what to do."""
    remedy = "restore it or move it away (`linli docs runbook`: a data file is damaged)"
    return Permanent(f"{path} is damaged: {what}; {remedy}")


def _set_up(connection: Any, synchronous: str) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    # secure_delete: what is deleted or replaced is not left in free pages
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", f"busy_timeout={_BUSY_MS}", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    table_sums.register(connection)


def _begin(connection: Connection) -> None:
    # IMMEDIATE: a writer takes the lock at once instead of failing half-way when another came between.
    writing = connection.get_execution_options().get("linli_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
