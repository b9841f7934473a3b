"""Files and folders that only their owner may read, whatever the umask: they are about people."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
OTHERS = 0o077
"""What others may, by mode."""


def make_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, for the owner alone; what is there stays as it is."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)  # raises where a file has its name


def make_file(path: Path) -> None:
    """Make an empty file for the owner alone; what is there stays as it is. SQLite makes its journals like its file."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))


def make_whole(path: Path, data: bytes) -> None:
    """Make a file for its owner alone, whole or not at all, and let the first one stay: others may make it too."""
    new = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)


def open_to_others(path: Path) -> bool:
    """Return whether others may do anything with it; False when it is not there, or a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & OTHERS)


def close_to_others(path: Path) -> bool:
    """Take from others what they may do with it; returns whether something was taken. Only its owner can."""
    if not open_to_others(path) or path.lstat().st_uid != os.geteuid() or path.lstat().st_mode & stat.S_ISVTX:
        return False
    path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~OTHERS)
    return True
