"""Whether a SQLite file is as it was written: its journal, its tables, its pages. What SQLite itself passes over in
silence is looked at here: a journal that ends too early, and a table whose name was damaged.

Contents of rows are not SQLite's to judge: who writes them keeps checksums (``streams.row_checksum``).
"""

from __future__ import annotations

import re
import sqlite3
import struct
from contextlib import closing, suppress
from pathlib import Path

from system.sqlite_journal import committed_but_gone

WHOLE_BYTES = 16 << 20
"""Up to this size a file is checked as a whole at a start: a tenth of a second. Larger ones are checked later."""
NO_DATABASE = "file is not a database"
_MAGIC = b"SQLite format 3\0"
_PAGE_SIZE = struct.Struct(">H")
_PAGES = struct.Struct(">I")
_NAMED = re.compile(r"\b(?:TABLE|INDEX)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(\w+)", re.IGNORECASE)
_MADE = re.compile(r"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.IGNORECASE)


def wrong_before_opening(path: Path, schema: str = "", *, whole: bool = False) -> str:
    """Return what is wrong with a file that is to be opened, in one line; empty when nothing is. Nothing is changed.

    Looked at are head, length, journal and the names of tables.

    Args:
        path: may be missing: then it is new.
        schema: what the opener makes; a file that lacks one of its tables and has an unknown one is damaged.
        whole: look at every page of a small file too.
    """
    if is_open_here(path):
        return ""
    try:
        size = path.stat().st_size
        wrong = _head(path, size) or committed_but_gone(path)
    except FileNotFoundError:
        return ""
    if wrong or not size:
        return wrong
    return _renamed(path, schema) or (pages(path) if whole and size <= WHOLE_BYTES else "")


def is_open_here(path: Path) -> bool:
    """Return whether this process has the file open: then it was checked, and reading it beside SQLite is dangerous."""
    resolved, listed = path.resolve(), Path("/proc/self/fd")
    if not listed.exists():
        return True  # a system that does not say so: rather not
    for descriptor in listed.iterdir():
        with suppress(OSError):  # closed meanwhile
            if descriptor.readlink() == resolved:
                return True
    return False


def pages(path: Path) -> str:
    """Return what is wrong in any page or index of the file, in one line; empty when nothing is.

    Reads the whole file, beside whoever writes to it.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            found = db.execute("PRAGMA integrity_check(3)").fetchall()
    except sqlite3.OperationalError as error:
        return "" if _passes(error) else _one_line(error)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return _one_line(error)
    said = "; ".join(str(line) for (line,) in found)
    return "" if said == "ok" else " ".join(said.split())[:300]


def _head(path: Path, size: int) -> str:
    """Return what is wrong with head and length. A file of no bytes is new, or all of it is in the journal yet."""
    if not size:
        return ""
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(_MAGIC):
        return NO_DATABASE
    (page,) = _PAGE_SIZE.unpack_from(head, 16)
    page = 65_536 if page == 1 else page
    if page < 512 or page & (page - 1):
        return f"its head says pages of {page} bytes"
    counted, same = head[24:28] == head[92:96], (_PAGES.unpack_from(head, 28)[0] * page)
    if size % page:
        return f"its length of {size} bytes is no whole number of pages of {page}"
    if counted and same > size and not Path(f"{path}-wal").exists():
        return f"its head says {same} bytes, it has {size}"
    return ""


def _renamed(path: Path, schema: str) -> str:
    """Return that a table is missing while an unknown one is there: its name is not what it was."""
    made, known = set(_MADE.findall(schema)), set(_NAMED.findall(schema))
    if not made:
        return ""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            there = {str(name) for (name,) in rows.fetchall()}
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return "" if _passes(error) else _one_line(error)
    unknown, missing = there - known, made - there
    return f"it has no table {min(missing)}, but one called {min(unknown)!r}" if unknown and missing else ""


def _passes(error: Exception) -> bool:
    """Return whether the error is about the moment, not the file: whoever opens it then finds out."""
    moment = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL}
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in moment | {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
