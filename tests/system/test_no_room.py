"""What says that a disk is full, and what does not."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from contracts.errors import Transient
from system.no_room import may_pass, said_by, says_no_room


def full(path: Path) -> sqlite3.Error:
    """What SQLite says of a file that may not grow."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as raised:
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        return raised.value
    finally:
        connection.close()


def test_a_full_disk_is_known_however_it_is_wrapped(tmp_path: Path) -> None:
    error = full(tmp_path / "a.db")
    wrapped = OperationalError("INSERT INTO people VALUES (?)", ("Zhang San",), error)
    outer = Transient("not now")
    outer.__cause__ = wrapped
    for one in (OSError(errno.ENOSPC, "no"), OSError(errno.EDQUOT, "no"), error, wrapped, outer):
        assert says_no_room(one) and may_pass(one)
    assert said_by(wrapped) == "database or disk is full"


def test_a_file_that_somebody_holds_passes_and_is_no_full_disk(tmp_path: Path) -> None:
    one, other = (sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0) for _ in range(2))
    one.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError) as raised:
        other.execute("BEGIN EXCLUSIVE")
    assert may_pass(raised.value) and not says_no_room(raised.value)
    one.close()
    other.close()


def test_what_another_error_says_does_not_pass() -> None:
    own = ValueError("x")
    own.__cause__ = own
    for error in (OSError(errno.EACCES, "no"), sqlite3.OperationalError("no such table: t"), own):
        assert not may_pass(error) and not says_no_room(error)
