"""Numbered migrations: ``migrations/NNNN_name[.dialect].sql``, each applied once, in order, in one transaction."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection, insert, inspect, select

from contracts.errors import ConfigurationError
from incidents.store import schema, table_sums
from incidents.store.database import damaged, file_of, sqlite_of
from incidents.store.schema import schema_version

_NAME = re.compile(r"(\d{4})_([a-z_]+)(?:\.([a-z]+))?\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema; ``statements`` are separated by blank lines in its file."""

    version: int
    name: str
    statements: tuple[str, ...]


def migrations(dialect: str) -> list[Migration]:
    """Return every migration for ``dialect`` (``sqlite`` or ``postgresql``), in order."""
    found = []
    for file in importlib.resources.files("incidents.store").joinpath("migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match and match[3] in {None, dialect}:
            found.append(Migration(int(match[1]), match[2], _statements(file.read_text("utf-8"))))
    return sorted(found, key=lambda migration: migration.version)


def migrate(connection: Connection, now_ms: int) -> int:
    """Bring the database up to date inside the caller's transaction; returns its version.

    Raises:
        ConfigurationError: when the database was made by a newer program.
        Permanent: it is a damaged file, and its sums would have to be made anew.
    """
    steps = migrations(connection.dialect.name)
    have = _version(connection)
    newest = steps[-1].version
    if have > newest:
        raise ConfigurationError(
            f"the incidents database has schema {have}, this program knows {newest}: start the newer program"
        )
    pending = [step for step in steps if step.version > have]
    with _summed(connection, changes=bool(pending)):
        for step in pending:
            _apply(connection, step, now_ms)
    return newest


@contextmanager
def _summed(connection: Connection, *, changes: bool) -> Iterator[None]:
    """Sum the tables of a file anew after what goes on inside the block, if they are right before it.

    Args:
        connection: of a server, nothing is done.
        changes: whether tables change inside; also without it sums that this program would keep otherwise are renewed.
    """
    db = sqlite_of(connection)
    if db is None or not (changes or not table_sums.is_kept(db, _summed_tables())):
        yield
        return
    table_sums.register(db)
    if wrong := table_sums.wrong_anywhere(db):
        raise damaged(file_of(db), wrong)
    table_sums.suspend(db)
    yield
    table_sums.keep(db, _summed_tables())


def _summed_tables() -> list[str]:
    return sorted(set(map(str, schema.metadata.tables)) - {schema.table_sums.name})


def _apply(connection: Connection, step: Migration, now_ms: int) -> None:
    for statement in step.statements:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})  # a % in it is a %
    row = {"version": step.version, "name": step.name, "applied_ms": now_ms}
    connection.execute(insert(schema_version).values(row))


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema_version.name):
        schema_version.create(connection)
    versions = connection.execute(select(schema_version.c.version)).scalars().all()
    return max(versions, default=0)


def _statements(text: str) -> tuple[str, ...]:
    blocks = (block.strip() for block in text.split("\n\n"))
    return tuple(block for block in blocks if block and not block.startswith("--"))
