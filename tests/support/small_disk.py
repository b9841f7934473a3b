"""A real disk of a few megabytes that may be filled and freed: a file system in memory, which only root may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class SmallDisk:
    """A folder on a disk of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @staticmethod
    def mounted(folder: Path, megabytes: int) -> SmallDisk | None:
        """Mount one at ``folder``, which is made; None where that is not allowed."""
        folder.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
            return None
        return SmallDisk(folder)

    def fill(self) -> None:
        """Take what room is left."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away, whoever still has a file open there."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """One for a test; it is skipped where none may be mounted."""
    disk = SmallDisk.mounted(folder, megabytes)
    if disk is None:
        pytest.skip("mounting a small file system needs root")
    try:
        yield disk
    finally:
        disk.unmount()
