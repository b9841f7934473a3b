"""An error as one line for people: ours, the machine's, or a database's that no room translated."""

from __future__ import annotations

import sqlite3

from contracts.errors import LinliError
from system.no_room import said_by, says_no_room

_REMEDY = "see that this account may use it, and that the deployment was started once: it makes the tables"
_FULL = "the disk is full: free space, and run it again"
_SERVER = "psycopg.errors"
"""Recognised by name: to import it would slow every command down."""


def told_in_a_line(error: BaseException) -> str | None:
    """Return what went wrong; None for an error that nobody expected, which is to be shown whole.

    >>> told_in_a_line(PermissionError(13, "Permission denied", "data/linli.lock"))
    'data/linli.lock cannot be used: Permission denied'
    >>> told_in_a_line(ZeroDivisionError()) is None
    True
    """
    if says_no_room(error):
        where = getattr(error, "filename", None)
        return f"{said_by(error)}; {_FULL}" if isinstance(error, LinliError) or not where else f"{where}: {_FULL}"
    if isinstance(error, LinliError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename} cannot be used: {error.strerror}" if error.filename else str(error)
    cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps what the database said
    if not isinstance(cause, sqlite3.Error) and type(cause).__module__ != _SERVER:
        return None
    return f"a database refuses: {' '.join(str(cause).split())[:300]}; {_REMEDY}"
