"""PostgreSQL by psycopg: connections that notice a dead server, one writer at a time, and errors in our own words.

What knows psycopg is this file, ``login`` and ``account``. Why writers exclude each other: docs/adr/0014.
"""

from __future__ import annotations

import secrets
import select
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
import structlog
from psycopg.types.string import StrDumper
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from contracts.errors import ConfigurationError, LinliError, Transient
from contracts.secrets import Passwords
from incidents.store.leases import Leases
from incidents.store.login import Login
from system.tls import TlsFiles, trouble_with

LOG = structlog.get_logger("linli.postgresql")
CHANNEL: Final = "linli_commits"
HOLD_S = 10.0
"""How long this process may believe that it holds a name without having heard from the server."""

_SESSION_S = 2 * HOLD_S  # then the server ends a session that says nothing, and its names are free
_RESTED_S = 1.0  # a connection that rested for longer is asked whether its server is still there before it is used
_HEARTBEAT_S = 2.0
_ASK_S = 1.0
_POLL_S = 1.0
_LOCK_CLASS = 0x6C6E6C69  # "lnli": our advisory locks, apart from those of other programs in the same database
_RETRY_S = 1.0
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",  # the role or the database
    "permission denied",
    "is not permitted to log in",
)
"""What a server says that will not take us, however often we ask. It gives no code while connecting."""

_OF_TLS = ("SSL", "certificate")
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""What a client says to PostgreSQL that wants TLS; the server answers S, and the handshake follows."""
_PORT = 5432
_IDLE_IN_TRANSACTION = "25P03"
_WRITE = text("SELECT pg_advisory_xact_lock(:class_, :pen), pg_notify(:channel, :sender)")
_CLAIM = "SELECT pg_try_advisory_lock(%s, %s)"
_WAITS = {
    # A process that stands still inside a transaction would hold up all others; so would one whose machine is gone.
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_KEEPALIVE = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


class PostgresDatabase:
    """A database on a PostgreSQL server; see :class:`incidents.store.database.Database`. Connects on first use.

    Args:
        schema: the schema that holds the tables; it is made by whoever makes the tables. Empty: the role's own.
        passwords: what proves the role, asked at each connection; None leaves it to the URL and to libpq.
    """

    def __init__(self, url: URL, *, schema: str = "", passwords: Passwords | None = None) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self._login = Login(self.where, passwords)
        self._sender = secrets.token_hex(8)
        self._pen = lock_number(f"write/{schema}")
        settings = _WAITS | ({"search_path": schema} if schema else {})
        self._options = _options(settings)
        self._connecting = _KEEPALIVE | {"application_name": "linli"}
        self._engine = create_engine(
            self._url,
            connect_args=self._connecting | {"options": self._options},
            pool_size=8,
            max_overflow=16,
        )
        self._writing = threading.Lock()
        event.listen(self._engine, "do_connect", self._connect)
        event.listen(self._engine, "connect", lambda connection, _record: _set_up(connection))
        event.listen(self._engine, "checkout", lambda connection, record, _proxy: _look_at(connection, record))
        event.listen(self._engine, "checkin", lambda _connection, record: _rest(record))

    @property
    def where(self) -> str:
        """See :class:`incidents.store.database.Database`."""
        return where_of(self._url)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """See :class:`incidents.store.database.Database`.

        READ COMMITTED, since the first statement waits for the writer before: a snapshot from then would be old.
        """
        with self._writing, translated_errors(self.where, self._trouble), self._engine.connect() as plain:
            connection = plain.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                values = {"class_": _LOCK_CLASS, "pen": self._pen, "channel": CHANNEL, "sender": self._sender}
                connection.execute(_WRITE, values)
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See :class:`incidents.store.database.Database`."""
        with translated_errors(self.where, self._trouble), self._engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    def follow(self, stop: threading.Event, on_commit: Callable[[], None]) -> None:
        """See :class:`incidents.store.database.Database`: LISTEN; every second while that is not possible."""
        while not stop.is_set():
            try:
                self._listen(stop, on_commit)
            except (psycopg.Error, LinliError) as error:
                LOG.warning("not_listening", database=self.where, error=one_line(error))
                on_commit()
                stop.wait(_POLL_S)

    def leases(self) -> Leases:
        """See :class:`incidents.store.database.Database`: session locks, on a connection of their own."""
        return PostgresLeases(self.where, self._session)

    def check_rows(self, *, quick: bool = False) -> None:
        """See :class:`incidents.store.database.Database`: the server has checksums of its pages (``initdb``)."""

    def close(self) -> None:
        """See :class:`incidents.store.database.Database`."""
        self._engine.dispose()

    def _trouble(self) -> str:
        """Return what is wrong with the server's certificate: libpq only says that its verification failed."""
        query, host = self._url.query, self._url.host
        ca_file = query.get("sslrootcert")
        if host is None or host.startswith("/") or not isinstance(ca_file, str):
            return ""
        files = TlsFiles(table="incidents", ca_file=Path(ca_file))
        return trouble_with(host, self._url.port or _PORT, files, _SSL_REQUEST, b"S")

    def _connect(self, dialect: Any, _record: object, arguments: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Return a connection for the pool."""
        return self._login.connect(lambda proof: dialect.connect(*arguments, **(settings | proof)))

    def _listen(self, stop: threading.Event, on_commit: Callable[[], None]) -> None:
        with self._session() as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            on_commit()  # for what came while nobody listened
            while not stop.is_set():
                for notice in connection.notifies(timeout=_POLL_S, stop_after=1):
                    if notice.payload != self._sender:
                        on_commit()

    def _session(self, **settings: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection apart from the pool, which says at once what it is told."""
        options = {"options": self._options + _options(settings)}
        names = self._url.translate_connect_args(username="user", database="dbname")
        given = self._url.query | self._connecting | options | names
        return self._login.connect(lambda proof: psycopg.connect(autocommit=True, **(given | proof)))


class PostgresLeases:
    """Names held as advisory locks of one session; see :class:`incidents.store.leases.Leases`.

    The server ends a session that says nothing for 20 s; a holder that has not heard from the server for 10 s holds
    nothing. So a process that stands still loses its names, and knows it when it wakes, by its own clock alone.
    """

    def __init__(self, where: str, connect: Callable[..., psycopg.Connection[tuple[Any, ...]]]) -> None:
        self._where = where
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._held: set[str] = set()
        self._heard_s = 0.0
        self._asked_s: dict[str, float] = {}

    def holds(self, name: str) -> bool:
        """See :class:`incidents.store.leases.Leases`."""
        with self._lock:
            now_s = time.monotonic()
            if name in self._held:
                return now_s - self._heard_s < HOLD_S
            if now_s - self._asked_s.get(name, -_ASK_S) < _ASK_S:
                return False
            self._asked_s[name] = now_s
            if self._ask(_CLAIM, (_LOCK_CLASS, lock_number(f"claim/{name}"))):
                LOG.info("claimed", name=name)
                self._held.add(name)
            return name in self._held

    def run(self, stop: threading.Event) -> None:
        """See :class:`incidents.store.leases.Leases`."""
        try:
            while not stop.wait(_HEARTBEAT_S):
                with self._lock:
                    self._ask("SELECT true", ())
        finally:
            with self._lock:
                self._drop()

    def _ask(self, statement: LiteralString, values: tuple[int, ...]) -> bool:
        """Return the truth that the server answers; False, and nothing held any more, when it does not."""
        try:
            if self._connection is None:
                self._connection = self._connect(idle_session_timeout=f"{_SESSION_S:.0f}s")
            row = self._connection.execute(statement, values).fetchone()
        except (psycopg.Error, LinliError) as error:
            LOG.warning("claims_lost", database=self._where, names=sorted(self._held), error=one_line(error))
            self._drop()
            return False
        self._heard_s = time.monotonic()
        return row is not None and bool(row[0])

    def _drop(self) -> None:
        self._held.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _NoNul(StrDumper):
    """Text without NUL, which PostgreSQL cannot hold and a device or a person may well send."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd"))


def lock_number(name: str) -> int:
    """Return the number of the advisory lock ``name``, as PostgreSQL's four bytes with a sign."""
    number = zlib.crc32(name.encode())
    return number - (1 << 32) if number >= 1 << 31 else number


def where_of(url: URL) -> str:
    """Return the database as a person knows it: ``postgresql://user@host:port/database``."""
    user = f"{url.username}@" if url.username else ""
    host = url.host or url.query.get("host") or "localhost"
    return f"postgresql://{user}{host}:{url.port or 5432}/{url.database or ''}"


@contextmanager
def translated_errors(where: str, trouble: Callable[[], str] = str) -> Iterator[None]:
    """Translate the server's errors inside the block into ours; an error of a statement stays as it is.

    ``trouble`` says what is wrong with the server's certificate; asked only when TLS failed.

    Raises:
        Transient: it is away, overloaded, out of space, or ended the transaction.
        ConfigurationError: it does not let us in.
    """
    try:
        yield
    except PoolTimeout as error:
        raise Transient(f"{where}: every connection is busy: {error}", _RETRY_S) from error
    except DBAPIError as error:
        ours = translate_error(error, where, trouble)
        if ours is None:
            raise
        raise ours from error


def translate_error(error: DBAPIError, where: str, trouble: Callable[[], str] = str) -> LinliError | None:
    """Return the error of ours that ``error`` is, or None when a statement is at fault."""
    cause = error.orig
    detail = one_line(cause) if cause is not None else str(error)
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None and is_permanent_refusal(detail):
        return ConfigurationError(f"{where} does not let us in: {detail}; correct the role, or its password_file")
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    passing = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError) or state == _IDLE_IN_TRANSACTION
    if passing or error.connection_invalidated:
        said = trouble() if any(word in detail for word in _OF_TLS) else ""
        return Transient(f"{where} does not answer: {said or detail}", _RETRY_S)
    return None


def is_permanent_refusal(detail: str) -> bool:
    """Return whether a server that says ``detail`` while connecting will go on refusing us.

    >>> is_permanent_refusal('FATAL: password authentication failed for user "linli"')
    True
    >>> is_permanent_refusal("Connection refused")
    False
    """
    return "FATAL" in detail and any(words in detail for words in _REFUSALS)


def one_line(error: BaseException) -> str:
    """Return what the server said, in one line."""
    return " ".join(str(error).split())


def _options(settings: dict[str, str]) -> str:
    return "".join(f" -c {name}={value}" for name, value in settings.items())


def _set_up(connection: Any) -> None:
    connection.adapters.register_dumper(str, _NoNul)


def _rest(record: ConnectionPoolEntry) -> None:
    record.info["rests_since_s"] = time.monotonic()


def _look_at(connection: Any, record: ConnectionPoolEntry) -> None:
    """Check, before a connection of the pool is used, that its server is still there.

    A server that ended has said so or hung up, which the socket shows; only what rested for a while, or has something
    to read, is worth asking. To ask before each transaction would cost as much as a statement in it.

    Raises:
        InvalidatePoolError: it is not; SQLAlchemy connects anew.
    """
    since_s = record.info.get("rests_since_s")
    if since_s is None or (time.monotonic() - since_s < _RESTED_S and not _has_news(connection)):
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _has_news(connection: Any) -> bool:
    """Return whether there is something to read, or an end, on a connection that has asked for nothing."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
