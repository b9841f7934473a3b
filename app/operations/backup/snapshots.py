"""Databases of SQLite held as they are at one moment, while others write on, and copied from there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from app.operations.backup.places import Stored, databases, days, inventory_of
from app.settings.settings import Settings
from contracts.errors import Permanent, Transient
from incidents.store import table_sums
from streams.sqlite_file import check_before_opening, damaged
from system.private_files import make_file, make_folder

TRIES = 20
"""How often all are held anew because the inventory was written, or a day of the log went, in those few ms."""


class Held(Stored, frozen=True):
    """A database with a connection that reads it as it was when the transaction began."""

    connection: sqlite3.Connection


@contextmanager
def held(settings: Settings) -> Iterator[list[Held]]:
    """Hold every database of the machine, so that what they say of each other agrees.

    Whoever keeps a cursor is held before what it reads: so no cursor points behind the end. The inventory is held
    before the log that follows it, and must be the same after.

    Raises:
        Permanent: one is damaged. Transient: one is locked, or was written without a pause.
    """
    for _ in range(TRIES):
        with ExitStack() as opened:
            found = _hold_all(settings, opened)
            if found is not None:
                yield found
                return
    raise Transient("the inventory is written without a pause, so no moment could be held; repeat it in a minute")


def _hold_all(settings: Settings, opened: ExitStack) -> list[Held] | None:
    try:
        found = [_hold(one, opened) for one in databases(settings) if one.path.exists()]
        found += [_hold(one, opened) for one in days(settings)]
    except FileNotFoundError:  # a day that retention has dropped meanwhile
        return None
    inventory = inventory_of(settings)
    before = next((one for one in found if one.name == inventory.name), None)
    if before is None:
        return found
    with closing(_open(inventory.path)) as now:
        same = _changes(now) == _changes(before.connection)
    return found if same else None


def _hold(one: Stored, opened: ExitStack) -> Held:
    check_before_opening(one.path)
    connection = _open(one.path)
    opened.callback(connection.close)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it reads this moment
    except sqlite3.DatabaseError as error:
        raise _told(one.path, error) from error
    return Held(one.name, one.path, connection)


def copy_of(one: Held, target: Path) -> None:
    """Write what is held as a database of its own, and look at each of its pages.

    Raises:
        Permanent: the original is damaged. OSError: the disk is full.
    """
    make_folder(target.parent)
    make_file(target)
    try:
        with closing(sqlite3.connect(target)) as copy:
            one.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            (told,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            table_sums.register(copy)
            told = told if told != "ok" else table_sums.wrong_anywhere(copy) or told
    except sqlite3.DatabaseError as error:
        raise _told(one.path, error) from error
    if told != "ok":
        raise damaged(one.path, told)


def _open(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=10)
    except sqlite3.OperationalError as error:
        if not path.exists():
            raise FileNotFoundError(path) from None
        raise _told(path, error) from error


def _changes(connection: sqlite3.Connection) -> Sequence[object]:
    return connection.execute("SELECT max(change), count(*) FROM changes").fetchall()


def _told(path: Path, error: sqlite3.DatabaseError) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Transient(f"{path} is locked: {error}; repeat it in a minute")
    if code == sqlite3.SQLITE_FULL:
        return Permanent("the disk is full: give the backup another place, or make room")
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}:
        return Permanent(f"{path} or its copy cannot be read and written: {error}")
    return damaged(path, str(error))
