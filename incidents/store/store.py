"""The incidents database: one writer at a time, consistent reads, and a signal emitted after each commit.

SQLite (WAL, ``synchronous=FULL``) on a single machine; PostgreSQL in a district, with the same tables and code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from contracts.errors import Permanent
from contracts.secrets import Passwords
from incidents.store.database import open_database
from incidents.store.leases import Leases
from incidents.store.migrate import migrate
from system.clock import Clock, wall_ms


class CommitSignal:
    """Calls its listeners after every commit, in the committing thread; listeners must be quick and not raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, Callable[[], None]] = {}
        self._next = 0

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Add a listener; returns what takes it away again."""
        with self._lock:
            key, self._next = self._next, self._next + 1
            self._listeners[key] = listener
        return lambda: self._forget(key)

    def emit(self) -> None:
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
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``.
        clock_ms: what says now; only used to date migrations.
        synchronous: SQLite's own setting; anything but FULL is for tests that do not test durability.
        passwords: see :func:`incidents.store.database.open_database`.

    Raises:
        ConfigurationError: when the URL cannot be used or the database is newer than this program.
        Transient: a server does not answer.
        Permanent: the database is damaged.
    """

    def __init__(
        self, url: str, *, clock_ms: Clock = wall_ms, synchronous: str = "FULL", passwords: Passwords | None = None
    ) -> None:
        self._database = open_database(url, synchronous=synchronous, passwords=passwords)
        self.commit_signal = CommitSignal()
        try:
            self._database.check_rows(quick=True)
            with self.write() as connection:
                migrate(connection, clock_ms())
        except DatabaseError as error:
            self.close()
            raise Permanent(f"{self.where} cannot be used: {error.orig}; restore it or move it away") from error
        except BaseException:
            self.close()
            raise

    @property
    def where(self) -> str:
        """The database as a person knows it, without a password."""
        return self._database.where

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a transaction that may write, the only one at its time; committed on leaving, then the commit signal is
        emitted.

        Raises:
            Transient: the server is away; whoever is told so may do the whole transaction again.
        """
        with self._database.write() as connection:
            yield connection
        self.commit_signal.emit()

    def read(self) -> AbstractContextManager[Connection]:
        """Return a transaction that sees one state of the database throughout.

        Raises:
            Transient: the server is away.
        """
        return self._database.read()

    def follow(self, stop: threading.Event) -> None:
        """Emit the commit signal for commits of other processes, until ``stop``."""
        self._database.follow(stop, self.commit_signal.emit)

    def leases(self) -> Leases:
        """Return the leases of this process, among those that share the database."""
        return self._database.leases()

    @property
    def file_name(self) -> str:
        """The name of its file, or the database as a person knows it."""
        return self.where.rpartition("/")[2]

    def check_rows(self) -> None:
        """Read everything once, if it is a file; PostgreSQL looks after its own pages.

        Raises:
            Permanent: something is not as it was written; says what.
            Transient: the server is away.
        """
        self._database.check_rows()

    def close(self) -> None:
        """Close every connection."""
        self._database.close()
