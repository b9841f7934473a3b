"""Whether a file is another one than it was: secrets, lists and certificates are read again only when they changed."""

from __future__ import annotations

from pathlib import Path

import msgspec


class FileStamp(msgspec.Struct, frozen=True):
    """What changes with a file's content, or with who may read it."""

    inode: int
    size: int
    mode: int
    modified_ns: int
    changed_ns: int


def stamp_of(path: Path) -> FileStamp | None:
    """Return the file's stamp; None when it cannot be looked at, as when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileStamp(found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)
