"""The numbers that an inventory allots, and its name. They never go back: a row that is erased takes no number with it.

A copy of the tables that was put back from a backup does not know what was allotted since. Its numbers are told apart
by the transaction that a record names, and ``incidents.monitor`` sees that it went back.
"""

from __future__ import annotations

import secrets

import msgspec

from inventory.tables import Rows

STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, reached INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
"""In SQLite's words, each safe to repeat."""
_CHANGE = "change"
_STORE = "store"
_GLANCE = (
    "SELECT i.value, (SELECT reached FROM numbers WHERE name = ?), c.change, c.body FROM identity i"
    " LEFT JOIN changes c ON c.change = (SELECT max(change) FROM changes) WHERE i.name = ?"
)
_REACH = (
    "INSERT INTO numbers (name, reached) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET reached = excluded.reached WHERE numbers.reached < excluded.reached"
)


class StoreState(msgspec.Struct, frozen=True):
    """Which store it is, the number of its newest change (0 when there is none), and what wrote that one.

    ``transaction`` is empty when that change was erased, or written before transactions had names.
    """

    identity: str
    change: int
    transaction: str = ""


def is_behind(known: StoreState, now: StoreState, transaction: str | None) -> bool:
    """Return whether a store is not what it was: another one, or put back to before ``known``.

    Args:
        known: what was seen last.
        now: what it is.
        transaction: what wrote the change ``known.change`` as the store has it now; None: it does not have it.
    """
    if now.identity != known.identity or now.change < known.change:
        return True
    return bool(known.transaction) and transaction not in {None, known.transaction}


def make_identity(rows: Rows) -> None:
    """Give the store a random name, unless it has one."""
    rows.execute(
        "INSERT INTO identity (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (_STORE, secrets.token_hex(8))
    )


def renew_identity(rows: Rows) -> None:
    """Give the store another name: what it allots from now on is none of what it allotted before."""
    rows.execute("UPDATE identity SET value = ? WHERE name = ?", (secrets.token_hex(8), _STORE))


def take_over(rows: Rows, source: Rows) -> None:
    """Let the store be the one that ``source`` is, and go on from its numbers."""
    for (value,) in source.execute("SELECT value FROM identity WHERE name = ?", (_STORE,)):
        rows.execute("DELETE FROM identity WHERE name = ?", (_STORE,))
        rows.execute("INSERT INTO identity (name, value) VALUES (?, ?)", (_STORE, value))
    for name, reached in source.execute("SELECT name, reached FROM numbers"):
        rows.execute(_REACH, (name, reached))


def identity(rows: Rows) -> str:
    """Return the store's name."""
    return str(rows.execute("SELECT value FROM identity WHERE name = ?", (_STORE,))[0][0])


def glance(rows: Rows) -> tuple[str, int, bytes | None]:
    """Return the store's name, the highest number that a change ever had, and that change's record as it is kept.

    None in place of the record: that change was erased, or there is none yet. One statement: several processes look
    every other second.
    """
    ((name, reached, newest, body),) = rows.execute(_GLANCE, (_CHANGE, _STORE))
    change = max(reached or 0, newest or 0)
    return str(name), change, bytes(body) if body is not None and newest == change else None


def last_change(rows: Rows) -> int:
    """Return the highest number that a change ever had, 0 before the first."""
    return glance(rows)[1]


def last_version(rows: Rows, site_id: str) -> int:
    """Return the highest version that a record of the site ever had, 0 before the first."""
    newest = "SELECT coalesce(max(version), 0) FROM changes WHERE site_id = ?"
    return max(int(rows.execute(newest, (site_id,))[0][0]), _reached(rows, _of_site(site_id)))


def note(rows: Rows, change: int, site_id: str, version: int) -> None:
    """Note that these were allotted."""
    rows.execute(_REACH, (_CHANGE, change))
    rows.execute(_REACH, (_of_site(site_id), version))


def _of_site(site_id: str) -> str:
    return f"version/{site_id}"


def _reached(rows: Rows, name: str) -> int:
    found = rows.execute("SELECT reached FROM numbers WHERE name = ?", (name,))
    return int(found[0][0]) if found else 0
