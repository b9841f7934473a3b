"""Whether an error says that a disk is full, whoever raised it: the machine, SQLite, or a library around it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED}
_MOST = 20  # causes of causes; an error may be its own


def says_no_room(error: BaseException) -> bool:
    """Return whether a disk, or an account's share of it, has no room.

    >>> says_no_room(OSError(28, "No space left on device")), says_no_room(PermissionError(13, "Permission denied"))
    (True, False)
    """
    return any(
        one.errno in _NO_ROOM if isinstance(one, OSError) else _sqlite_code(one) == sqlite3.SQLITE_FULL
        for one in _causes(error)
    )


def may_pass(error: BaseException) -> bool:
    """Return whether a disk without room, or a file that another program holds for now, is what hinders."""
    return says_no_room(error) or any(_sqlite_code(one) in _PASSING for one in _causes(error))


def said_by(error: BaseException) -> str:
    """Return an error's own words in one line, without the statement and values that SQLAlchemy puts beside them."""
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())[:300]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, and what it was raised from."""
    one: BaseException | None = error
    for _ in range(_MOST):
        if one is None:
            return
        yield one
        wrapped = getattr(one, "orig", None)
        one = wrapped if isinstance(wrapped, BaseException) else one.__cause__


def _sqlite_code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF if isinstance(error, sqlite3.Error) else 0
