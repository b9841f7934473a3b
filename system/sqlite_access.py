"""A file of SQLite that this account may not use: it is whole, and nobody should restore it or move it away."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

_REFUSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


def refused_access(path: Path, error: BaseException | None) -> str | None:
    """Return what to tell people when the machine did not let us use a file; None when the error is another one."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _REFUSED:
        return None
    return f"{path} may not be used: {error}; let this account (uid {os.geteuid()}) write the file and its folder"
