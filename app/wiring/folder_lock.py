"""One writing process a data folder: a second one refuses and names the first."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from contracts.errors import ConfigurationError
from system.private_files import make_folder


class FolderLock:
    """Held while a ``with`` block runs; the kernel lets go of it also after kill -9.

    Args:
        folder: made when it is missing.
        key: the setting that names the folder, for the message.
        name: of the lock in it; processes of different kinds may share a folder.

    Raises:
        ConfigurationError: on entering, when another process holds it; says which.
    """

    def __init__(self, folder: Path, key: str = "log.url", name: str = "linli.lock") -> None:
        make_folder(folder)
        self._path = folder / name
        self._key = key

    def __enter__(self) -> FolderLock:
        self._file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            owner = self._file.read().strip() or "another process"
            self._file.close()
            raise ConfigurationError(
                f"{self._path.parent} is in use by {owner}; stop it, or give this one another folder ({self._key})"
            ) from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}")
        self._file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
