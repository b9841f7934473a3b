"""The databases as the settings name them: incidents, and the inventory, which may lie in the same PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.settings.secret_files import read_in_turn
from app.settings.settings import Settings
from app.settings.stores import sqlite_path
from app.settings.transport import VERIFY_FULL
from contracts.errors import ConfigurationError
from contracts.secret_urls import SecretUrl, shown_url
from contracts.secrets import Passwords
from incidents.store.database import Database, open_database
from incidents.store.store import Store
from inventory.inventory import Inventory
from inventory.tables import Rows, SqliteTables, Tables
from system.tls import TlsFileError, TlsFiles, client_context

BOXES_FILE = "boxes.jsonl"
_SCHEMA = "inventory"


def open_incidents(settings: Settings) -> Store:
    """Return the incidents' database, its tables made or brought up to date.

    Raises:
        ConfigurationError: the URL or the password cannot be used. Transient: the server does not answer.
    """
    return Store(incidents_url(settings), passwords=incidents_passwords(settings))


def open_incidents_database(settings: Settings) -> Database:
    """Return the incidents' database as it is, for whoever only looks: nothing is made in it, and nothing asked yet.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    return open_database(incidents_url(settings), passwords=incidents_passwords(settings))


def open_inventory(settings: Settings) -> Inventory:
    """Open the tables people edit. Without a URL of their own they lie with the incidents, if those are in PostgreSQL.

    Raises:
        ConfigurationError: the URL or the password cannot be used. Transient: the server does not answer.
    """
    return Inventory(open_inventory_tables(settings))


@contextmanager
def look_into_inventory(settings: Settings) -> Iterator[Inventory | None]:
    """Yield the tables people edit to whoever only reads; None where none were made yet, and none are made.

    Raises:
        ConfigurationError: the URL or the password cannot be used. Transient: the server does not answer.
    """
    url = inventory_url(settings)
    if url.startswith("postgresql:"):
        with closing(PostgresTables(url, inventory_passwords(settings))) as tables, tables.read() as rows:
            there = rows.execute(f"SELECT to_regclass('{_SCHEMA}.rows')")[0][0] is not None
    else:
        there = sqlite_path("inventory.url", url).exists()
    if not there:
        yield None
        return
    inventory = open_inventory(settings)
    try:
        yield inventory
    finally:
        inventory.close()


def open_inventory_tables(settings: Settings) -> Tables:
    """Return what the inventory lies in. Raises as :func:`open_inventory`."""
    url = inventory_url(settings)
    if url.startswith("postgresql:"):
        return PostgresTables(url, inventory_passwords(settings))
    return SqliteTables(sqlite_path("inventory.url", url))


def incidents_url(settings: Settings) -> str:
    """Return where the incidents lie, and by which authority their server is believed; without a password."""
    return _with_authority("incidents", settings.incidents.url, settings.incidents.ca_file)


def inventory_url(settings: Settings) -> str:
    """Return where the inventory lies: without a URL of its own, with the incidents."""
    table = settings.inventory
    return _with_authority("inventory", table.url, table.ca_file) if table.url else incidents_url(settings)


def incidents_passwords(settings: Settings) -> Passwords | None:
    """Return what proves the incidents' role, read at each connection; None where no file of it is named."""
    return _passwords("incidents.password_file", settings.incidents.password_file)


def inventory_passwords(settings: Settings) -> Passwords | None:
    """Return what proves the inventory's role; without a URL of its own, the incidents'."""
    if not settings.inventory.url:
        return incidents_passwords(settings)
    return _passwords("inventory.password_file", settings.inventory.password_file)


def _passwords(key: str, path: Path | None) -> Passwords | None:
    return None if path is None else partial(read_in_turn, path, key)


def boxes_file(settings: Settings) -> Path:
    """Return the file of boxes' tokens: in the folder of the log, or beside the evidence where the log has none."""
    if not settings.log.on_kafka:
        return settings.log.folder() / BOXES_FILE
    return settings.evidence.folder.parent / BOXES_FILE


def _with_authority(table: str, url: str, ca_file: Path | None) -> str:
    if ca_file is None or not url.startswith("postgresql:"):
        return url
    trusted = {"sslmode": VERIFY_FULL, "sslrootcert": str(_readable(table, ca_file))}
    try:
        whole = make_url(url).update_query_dict(trusted)
        return SecretUrl(whole.render_as_string(hide_password=False))
    except ValueError:
        raise ConfigurationError(f"{table}.url = {shown_url(url)!r}: its port is no number") from None
    except ArgumentError:
        shown = shown_url(url)
        raise ConfigurationError(f"{table}.url = {shown!r}: expected postgresql://USER@HOST/DATABASE") from None


def _readable(table: str, ca_file: Path) -> Path:
    """Return the file. Raise ConfigurationError unless it holds certificates: libpq would only say that it fails."""
    try:
        client_context(TlsFiles(table=table, ca_file=ca_file))
    except TlsFileError as error:
        raise ConfigurationError(str(error)) from None
    return ca_file


class PostgresTables:
    """The inventory's tables in PostgreSQL, in a schema of their own; see :class:`inventory.tables.Tables`."""

    def __init__(self, url: str, passwords: Passwords | None = None) -> None:
        self._database = open_database(url, schema=_SCHEMA, passwords=passwords)

    @property
    def where(self) -> str:
        """See :class:`inventory.tables.Tables`."""
        return self._database.where

    def make(self, statements: Sequence[str]) -> None:
        """See :class:`inventory.tables.Tables`."""
        types = {"BLOB": "BYTEA", "INTEGER": "BIGINT", " AUTOINCREMENT": "", " WITHOUT ROWID": ""}
        with self.write() as rows:
            rows.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
            for statement in statements:
                for sqlite, postgresql in types.items():
                    statement = statement.replace(sqlite, postgresql)  # noqa: PLW2901
                rows.execute(statement)

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """See :class:`inventory.tables.Tables`."""
        with self._database.read() as connection:
            yield _Statements(connection)

    @contextmanager
    def write(self) -> Iterator[Rows]:
        """See :class:`inventory.tables.Tables`."""
        with self._database.write() as connection:
            yield _Statements(connection)

    def close(self) -> None:
        """See :class:`inventory.tables.Tables`."""
        self._database.close()


class _Statements:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        result = self._connection.exec_driver_sql(statement.replace("?", "%s"), tuple(values))
        return [tuple(row) for row in result] if result.returns_rows else []
