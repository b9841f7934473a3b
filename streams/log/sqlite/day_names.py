"""Names of day files: ``log-YYYYMMDD.db``; a day that has one already goes on in ``log-YYYYMMDD-2.db``."""

from __future__ import annotations

from pathlib import Path


def day_files(folder: Path) -> list[Path]:
    """Return the day files of a folder, by day and number. That need not be the order of what they hold."""
    found = [*folder.glob("log-????????.db"), *folder.glob("log-????????-*.db")]
    return sorted(found, key=lambda path: (day_of_file(path), len(path.name), path.name))


def day_of_file(path: Path) -> str:
    """Return the day in a file's name.

    >>> day_of_file(Path("log-20261129-2.db"))
    '20261129'
    """
    return path.stem.removeprefix("log-")[:8]


def free_name(folder: Path, day: str) -> Path:
    """Return the path that the next file of a day gets."""
    path, number = folder / f"log-{day}.db", 1
    while path.exists():
        number += 1
        path = folder / f"log-{day}-{number}.db"
    return path
