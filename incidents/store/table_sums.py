"""Sums of the tables of a SQLite file, kept by triggers in it, whoever writes: a byte that a disk changed shows.

A table's sum is that of the hashes of its rows. A row adds its hash when it comes and takes it off when it changes or
goes; so one that no statement changed is seen for ever, also when a statement changes or deletes it later. The seal
does the same for what makes tables, indexes and triggers. Who writes without :func:`register` is refused by SQLite.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import msgspec

FUNCTION = "linli_row_hash"
SINCE = 36
"""The number of the migration that makes ``table_sums``."""
SEAL = "sqlite_schema"
"""Stands in ``table_sums`` for the tables themselves; no table may be called so."""
_BITS = (1 << 62) - 1
"""A sum and a hash are so small that adding two of them is exact in SQLite."""
_TRIGGER = (
    "CREATE TRIGGER {table}_sum_{on} AFTER {event} ON {table} BEGIN"
    f" UPDATE table_sums SET total = (total {{change}}) & {_BITS} WHERE name = '{{table}}'; END"
)
"""Of another text: the next program to open a file makes triggers and sums anew, after it compared them."""
_MADE = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type, name"
_OURS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%table_sums%'"


def row_hash(*values: int | float | str | bytes | None) -> int:
    """Return 0 to 2⁶² - 1, which stands for these values with their types and in this order.

    >>> row_hash(1, "a") == row_hash("a", 1)
    False
    """
    digest = hashlib.blake2b(msgspec.msgpack.encode(values), digest_size=8).digest()
    return int.from_bytes(digest, "big") & _BITS


def register(db: sqlite3.Connection) -> None:
    """Let a connection write: give it the function that the triggers call."""
    db.create_function(FUNCTION, -1, row_hash, deterministic=True)
    db.execute("PRAGMA recursive_triggers=ON")  # so that a row that REPLACE takes away is taken off as well
    db.execute("PRAGMA trusted_schema=ON")  # triggers may call it; some builds of SQLite forbid that otherwise


def is_kept(db: sqlite3.Connection, tables: Iterable[str]) -> bool:
    """Return whether the file has the triggers that this program makes for these tables."""
    return dict(db.execute(_OURS)) == dict(_triggers(db, tables))


def suspend(db: sqlite3.Connection) -> None:
    """Take the triggers away, so that tables may be made anew; in one transaction with :func:`keep`."""
    for name, _ in db.execute(_OURS).fetchall():
        db.execute(f'DROP TRIGGER "{name}"')


def keep(db: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Take the rows of these tables as right, and keep their sums from here on. Who calls it has checked the old sums.

    Args:
        db: inside a transaction that may write, without triggers of this module.
        tables: all of the file that are to be looked after.
    """
    sums = {table: _sum(db, table) for table in tables}
    for _, made in list(_triggers(db, sums)):
        db.execute(made)
    sums[SEAL] = _seal(db, sums)
    db.execute("DELETE FROM table_sums")
    db.executemany("INSERT INTO table_sums (name, total) VALUES (?, ?)", list(sums.items()))


def wrong_seal(db: sqlite3.Connection) -> str:
    """Return what is wrong with the tables themselves, in one line; empty when nothing is, or there are no sums yet."""
    if not _has(db, "table_sums"):
        return "it has no table table_sums" if _is_newer(db) else ""
    sums = dict(db.execute("SELECT name, total FROM table_sums").fetchall())
    return "" if sums.pop(SEAL, None) == _seal(db, sums) else "its tables are not what was made"


def wrong_rows(db: sqlite3.Connection, table: str) -> str:
    """Return that the rows of a table are not what was written, in one line; empty when they are.

    Reads the whole table, a row at a time.
    """
    (kept,) = db.execute("SELECT total FROM table_sums WHERE name = ?", (table,)).fetchone() or (None,)
    try:
        found = _sum(db, table)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_ERROR:
            raise
        return f"a row of its table {table} cannot be read"
    return "" if found == kept else f"the rows of its table {table} are not what was written"


def summed_tables(db: sqlite3.Connection) -> list[str]:
    """Return the tables that have a sum; none in a file of an earlier version."""
    if not _has(db, "table_sums"):
        return []
    return [str(name) for (name,) in db.execute("SELECT name FROM table_sums WHERE name <> ? ORDER BY 1", (SEAL,))]


def wrong_anywhere(db: sqlite3.Connection) -> str:
    """Return what is wrong first, of the tables and all of their rows; empty when nothing is. Reads the whole file."""
    if wrong := wrong_seal(db):
        return wrong
    return next((wrong for table in summed_tables(db) if (wrong := wrong_rows(db, table))), "")


def wrong_on_disk(db: sqlite3.Connection, only: Collection[str] | None = None) -> str:
    """Do as :func:`wrong_anywhere`, while others write: each table as it is at one moment, none longer than it takes.

    Args:
        db: in autocommit mode; it has read nothing yet that it may remember.
        only: the tables whose rows are read; None: all.
    """
    with _moment(db):
        wrong, tables = wrong_seal(db), summed_tables(db)
    for table in tables:
        if not wrong and (only is None or table in only):
            with _moment(db):
                wrong = wrong_rows(db, table)
    return wrong


@contextmanager
def _moment(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    yield
    db.execute("COMMIT")


def _sum(db: sqlite3.Connection, table: str) -> int:
    rows = db.execute(f'SELECT {FUNCTION}({_columns(db, table, "")}) FROM "{table}"')
    return sum(int(found) for (found,) in rows) & _BITS


def _seal(db: sqlite3.Connection, tables: Iterable[str]) -> int:
    """Return the hash of the names of these tables and of all that made them."""
    names = sorted(tables, key=str)
    made = [row for name in names for row in db.execute(_MADE, (name,))]
    return row_hash(*names, *(value for row in made for value in row))


def _triggers(db: sqlite3.Connection, tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    for table in tables:
        old, new = (f"{FUNCTION}({_columns(db, table, row)})" for row in ("OLD.", "NEW."))
        for event, change in (("INSERT", f"+ {new}"), ("UPDATE", f"- {old} + {new}"), ("DELETE", f"- {old}")):
            made = _TRIGGER.format(table=table, on=event.lower(), event=event, change=change)
            yield made.split()[2], made


def _columns(db: sqlite3.Connection, table: str, row: str) -> str:
    return ", ".join(f'{row}"{name}"' for _, name, *_ in db.execute(f'PRAGMA table_info("{table}")'))


def _has(db: sqlite3.Connection, table: str) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


def _is_newer(db: sqlite3.Connection) -> bool:
    """Return whether the file must have sums: a migration made them."""
    if not _has(db, "schema_version"):
        return False
    (version,) = db.execute("SELECT max(version) FROM schema_version").fetchone()
    return isinstance(version, int) and version >= SINCE
