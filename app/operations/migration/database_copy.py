"""The incidents' database and the inventory, row by row, into empty ones. What was copied is kept, so it can go on.

Numbers, sequences, cursors and the chained audit log are rows as all others and stay as they are. People log in again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from contracts.errors import ConfigurationError, LogBroken
from governance.audit import first_broken
from incidents.store.counters import advance, current
from incidents.store.schema import counters, metadata, schema_version, sessions, table_sums
from incidents.store.store import Store
from inventory import numbers, row_sums
from inventory.tables import STATEMENTS, Row, Tables

ROWS = 500
UNDER_WAY, DONE, TAKEN_OVER = 1, 2, 3
_OURS = "migrated/"
COPIED = tuple(table for table in metadata.sorted_tables if table not in {schema_version, sessions, table_sums})
_INVENTORY = {
    "changes": ("change", "site_id", "kind", "row_key", "version", "removed", "actor", "at_ms", "body"),
    "rows": ("site_id", "kind", "row_key", "change", "content"),
}


class TableCopy(msgspec.Struct, frozen=True):
    """How many rows a table has, and a digest over all of them in order of their key."""

    rows: int
    digest: str


def copy_incidents(source: Store, target: Store, origin: str) -> dict[str, TableCopy]:
    """Copy every table, and compare; what each holds. Nothing is done when it was all done before.

    Args:
        source: one machine's.
        target: empty, or half-copied from the same origin.
        origin: what tells this machine's data from another's.

    Raises:
        ConfigurationError: the target holds something else.
        LogBroken: the copy differs, or the audit log's chain does not hold.
    """
    if _begin(target, origin) >= DONE:
        return {}
    for table in COPIED:
        with source.read() as reading:
            for rows in _pages(reading, table):
                with target.write() as writing:
                    _put(writing, table, rows)
    with source.read() as old, target.read() as new:
        copies = {table.name: _digest(old, table) for table in COPIED}
        wrong = [table.name for table in COPIED if _digest(new, table) != copies[table.name]]
        if wrong or first_broken(new) is not None:
            raise LogBroken(f"the copy differs in {', '.join(wrong) or 'the audit log'}; empty it and start again")
    with target.write() as writing:
        advance(writing, f"{_OURS}{origin}", DONE)
    return copies


def progress(target: Store, origin: str) -> int:
    """Return how far the migration of ``origin`` is: 0, UNDER_WAY, DONE (all is copied) or TAKEN_OVER."""
    with target.read() as reading:
        return current(reading, f"{_OURS}{origin}")


def taken_over(target: Store, origin: str) -> None:
    """Note that what waited for ``origin`` at its broker was taken in as well: nothing is left to do."""
    with target.write() as writing:
        advance(writing, f"{_OURS}{origin}", TAKEN_OVER)


def copy_inventory(source: Tables, target: Tables) -> int:
    """Copy every version of every row; how many changes there are.

    Raises:
        ConfigurationError: the target holds other changes.
    """
    for tables in (source, target):
        tables.make([*STATEMENTS, *numbers.STATEMENTS, *row_sums.STATEMENTS])
    for table, columns in _INVENTORY.items():
        key = "change" if table == "changes" else "site_id, kind, row_key"
        query = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {key}"
        with source.read() as reading:
            wanted = [_plain(row) for row in reading.execute(query)]
        with target.write() as writing:
            held = {_plain(row) for row in writing.execute(query)}
            if not held <= set(wanted):
                raise ConfigurationError(
                    f"the inventory to migrate into holds other {table} already: migrate into an empty database"
                )
            insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            for row in wanted:
                if row not in held:
                    writing.execute(insert, row)
    with source.read() as reading, target.write() as writing:
        numbers.take_over(writing, reading)
        row_sums.take_over(writing, reading)
        return int(reading.execute("SELECT count(*) FROM changes")[0][0])


def _begin(target: Store, origin: str) -> int:
    """Mark the target as ours, if it is empty; how far an earlier attempt came."""
    with target.write() as writing:
        mark = current(writing, f"{_OURS}{origin}")
        if mark:
            return mark
        full = [table.name for table in COPIED if writing.execute(select(func.count()).select_from(table)).scalar()]
        if full:
            raise ConfigurationError(
                f"{target.where} holds {', '.join(full)} already, not from here: migrate into an empty database, "
                "before any process of the district has run"
            )
        advance(writing, f"{_OURS}{origin}", UNDER_WAY)
    return UNDER_WAY


def _put(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    make = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    connection.execute(make(table).on_conflict_do_nothing(), list(rows))


def _pages(connection: Connection, table: Table) -> Iterator[list[dict[str, object]]]:
    result = connection.execution_options(yield_per=ROWS).execute(select(table).order_by(*table.primary_key.columns))
    for rows in result.mappings().partitions(ROWS):
        yield [dict(row) for row in rows]


def _digest(connection: Connection, table: Table) -> TableCopy:
    """Sort here, and hash: databases disagree on the order of text."""
    query = select(table)
    if table is counters:
        query = query.where(~table.c.name.startswith(_OURS, autoescape=True))
    rows = sorted(msgspec.msgpack.encode(tuple(row)) for row in connection.execute(query))
    digest = hashlib.blake2b(b"".join(rows), digest_size=16).hexdigest()
    return TableCopy(len(rows), digest)


def _plain(row: Row) -> Row:
    """Return values as both databases give them: bytes are bytes, truth is a number."""
    return tuple(bytes(v) if isinstance(v, memoryview) else int(v) if isinstance(v, bool) else v for v in row)
