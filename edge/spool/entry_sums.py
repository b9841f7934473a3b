"""Checksums of what the box's database says besides the bodies of its rows: what a disk changes is found out.

SQLite sees when a page is out of order, not when a number in it is another one. Each expression is over the columns of
its table; texts go in as hexadecimal, since what was text may be none any more.
"""

from __future__ import annotations

import sqlite3
import zlib
from typing import Final

from contracts.events import Lane

LANE_SUM: Final = "crc32(hex(lane) || ' ' || next_seq)"
ROW_MARK: Final = "crc32(n || ' ' || ifnull(hex(lane), '') || ' ' || ifnull(seq, '') || ' ' || life_safety)"
"""Where a row stands: apart from the sum of its body, because it gets its number later."""
SPOOL_SUM: Final = "crc32(hex(id) || ' ' || created_ms || ' ' || last_n)"
CLOCK_SUM: Final = "crc32(hex(boot) || ' ' || offset_ms || ' ' || from_n)"
TOLD_SUM: Final = "crc32('told ' || loss)"
UPLOAD_SUM: Final = "crc32(hex(sha256) || ' ' || hex(mime) || ' ' || created_ms)"
"""Without the tries and the time of the next one: whatever they are, the next try is a quarter of an hour away."""
_ADDED: Final = (
    ("row", "sum", ""),
    ("row", "mark", ROW_MARK),
    ("lane", "sum", LANE_SUM),
    ("spool", "last_n", "max(ifnull((SELECT max(n) FROM row), 0), "
     "ifnull((SELECT max(seq) FROM sqlite_sequence WHERE name = 'row'), 0))"),
    ("spool", "sum", SPOOL_SUM),
    ("told", "sum", TOLD_SUM),
    ("upload", "sum", UPLOAD_SUM),
)  # fmt: skip
"""Table, column, and what it is in a file of an earlier version; nothing: it stays null there."""


def know_sums(connection: sqlite3.Connection) -> None:
    """Make the expressions above usable on a connection."""
    connection.create_function("crc32", 1, lambda text: zlib.crc32(text.encode()), deterministic=True)


def add_sums(connection: sqlite3.Connection) -> None:
    """Give a file of an earlier version its checksums, all or none."""
    connection.execute("BEGIN IMMEDIATE")
    for table, column, value in _ADDED:
        if column in columns_of(connection, table):
            continue
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER")
        if value:
            connection.execute(f"UPDATE {table} SET {column} = {value}")
    connection.execute("COMMIT")


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the names of a table's columns, in order."""
    return [str(column[1]) for column in connection.execute(f"PRAGMA table_info({table})")]


def wrong_entry(connection: sqlite3.Connection, schema: str) -> str:
    """Return what makes the file unfit to go on with, in one line; empty when nothing does.

    A number given twice would be dropped by the platform as known, so a lane that may be wrong ends the spool.

    Args:
        connection: of a file that has its checksums.
        schema: what a new file is made with.
    """
    if _shape(connection) != _shape_of(schema):
        return "its tables are not those of a spool"
    for table, right in (("spool", SPOOL_SUM), ("lane", LANE_SUM)):
        if connection.execute(f"SELECT 1 FROM {table} WHERE sum IS NOT {right}").fetchone():
            return f"its table {table} is not as it was written"
    spools, lanes, rows = connection.execute(
        "SELECT (SELECT count(*) FROM spool), (SELECT count(*) FROM lane), EXISTS (SELECT 1 FROM row)"
    ).fetchone()
    return "" if (spools, lanes) == (1, len(Lane)) or not (spools or lanes or rows) else "it lacks its lanes"


def _shape_of(schema: str) -> set[tuple[object, ...]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(schema)
        return _shape(connection)
    finally:
        connection.close()


def _shape(connection: sqlite3.Connection) -> set[tuple[object, ...]]:
    """Return the columns of every table and the text of every index."""
    columns = connection.execute(
        "SELECT t.name, c.name, c.type, c.pk FROM sqlite_master AS t, pragma_table_info(t.name) AS c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
    ).fetchall()
    indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    return {*columns, *indexes.fetchall()}
