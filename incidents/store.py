"""The incidents database: one writer at a time, consistent reads, and a bell that rings after a commit.

SQLite (WAL, ``synchronous=FULL``) on a single machine; PostgreSQL in a district, with the same tables and code.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError

from contracts.errors import ConfigurationError, Permanent
from incidents.migrate import migrate

Clock = Callable[[], int]
"""Gives epoch ms UTC."""

_BUSY_MS = 30_000  # another process (linli users) may hold the file for the length of its transaction


def wall_ms() -> int:
    """Now, epoch ms UTC."""
    return time.time_ns() // 1_000_000


class Bell:
    """Calls its listeners after every commit, in the committing thread; listeners must be quick and not raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, Callable[[], None]] = {}
        self._next = 0

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Add a listener; returns what takes it away again."""
        with self._lock:
            key, self._next = self._next, self._next + 1
            self._listeners[key] = listener
        return lambda: self._forget(key)

    def ring(self) -> None:
        """Call every listener once."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener()

    def _forget(self, key: int) -> None:
        with self._lock:
            self._listeners.pop(key, None)


class Store:
    """Access to one incidents database.

    Args:
        url: SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+DRIVER://…``.
        clock_ms: what says now; only used to date migrations.
        synchronous: SQLite's own setting; anything but FULL is for tests that do not test durability.

    Raises:
        ConfigurationError: when the URL cannot be used or the database is newer than this program.
        Permanent: the database is damaged or does not answer.
    """

    def __init__(self, url: str, *, clock_ms: Clock = wall_ms, synchronous: str = "FULL") -> None:
        self._engine = _open(url, synchronous)
        self._writing = threading.Lock()
        self.bell = Bell()
        try:
            with self.write() as connection:
                migrate(connection, clock_ms())
        except DatabaseError as error:
            where = self._engine.url.render_as_string(hide_password=True)
            raise Permanent(f"{where} cannot be used: {error.orig}; restore it or move it away") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write. One at a time in this process; committed on leaving, then the bell rings."""
        with self._writing, self._engine.connect() as plain:
            connection = plain.execution_options(linli_write=True)
            with connection.begin():
                yield connection
        self.bell.ring()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _open(url: str, synchronous: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(f"incidents url {url[:80]!r} is not a database URL like sqlite:///FILE") from None
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, synchronous)
    try:
        return create_engine(parsed, isolation_level="REPEATABLE READ", pool_pre_ping=True)
    except (ArgumentError, ImportError) as error:
        raise ConfigurationError(f"incidents url: {error}") from None


def _open_sqlite(url: URL, synchronous: str) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("incidents url: SQLite needs a file, such as sqlite:///data/incidents.db")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # As many connections as the console's thread pool may ask for at once, so that a burst of pages cannot starve it.
    engine = create_engine(url, pool_size=8, max_overflow=64)

    @event.listens_for(engine, "connect")
    def _set_up(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", f"busy_timeout={_BUSY_MS}"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: a writer takes the lock at once instead of failing half-way when another came between.
        writing = connection.get_execution_options().get("linli_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
