"""Damage to a SQLite file, as a disk does it."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def damage_tables(file: Path, *tables: str) -> None:
    """Overwrite the first page of each table."""
    db = sqlite3.connect(file)
    (size,) = db.execute("PRAGMA page_size").fetchone()
    pages = [page for name, page in db.execute("SELECT name, rootpage FROM sqlite_master") if name in tables]
    db.close()
    with file.open("r+b") as content:
        for page in pages:
            content.seek((page - 1) * size)
            content.write(b"\xee" * size)
