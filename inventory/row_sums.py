"""Checksums of the inventory's rows: what a disk turned into something else must not be followed into the log."""

from __future__ import annotations

from contracts.errors import Permanent
from inventory.tables import Rows
from streams.row_checksum import Value, is_intact, row_checksum

STATEMENTS = ("CREATE TABLE IF NOT EXISTS row_sums (name TEXT PRIMARY KEY, total INTEGER NOT NULL) WITHOUT ROWID",)
"""In SQLite's words, each safe to repeat. A row without a sum is of a version that had none."""
_WRITE = "INSERT INTO row_sums (name, total) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET total = excluded.total"


def write_sum(rows: Rows, name: str, *values: Value) -> None:
    """Keep the checksum of what ``name`` says now."""
    rows.execute(_WRITE, (name, row_checksum(*values)))


def forget_sum(rows: Rows, name: str) -> None:
    """Drop the checksum of what was deleted."""
    rows.execute("DELETE FROM row_sums WHERE name = ?", (name,))


def read_sums(rows: Rows, first: str, last: str) -> dict[str, int]:
    """Return name → checksum of names from ``first`` to ``last``, both included."""
    found = rows.execute("SELECT name, total FROM row_sums WHERE name >= ? AND name <= ?", (first, last))
    return {str(name): int(total) for name, total in found}


def check_sum(where: str, name: str, total: int | None, *values: Value) -> None:
    """Raise unless ``name`` says what was written, or had no checksum.

    Raises:
        Permanent: it does not; says where and what to do.
    """
    if not is_intact(total, *values):
        raise damaged(where, f"{name} is not what was written")


def damaged(where: str, what: str) -> Permanent:
    """Return the error that tells of an inventory that cannot be trusted."""
    remedy = "restore it or move it away (`linli docs runbook`: a data file is damaged)"
    return Permanent(f"{where} is damaged: {what}; {remedy}")


def take_over(rows: Rows, source: Rows) -> None:
    """Take the checksums of changes that are copied from ``source``."""
    for name, total in source.execute("SELECT name, total FROM row_sums WHERE name LIKE 'change/%'"):
        rows.execute(_WRITE, (name, total))


def change_name(change: int) -> str:
    """Return the name of a change's checksum; in order of numbers."""
    return f"change/{change:020}"


def follower_name(follower: str) -> str:
    """Return the name of a follower's checksum."""
    return f"follower/{follower}"
