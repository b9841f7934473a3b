"""Damage as disks do it: flipped bytes and lost ends, at many places of a file, the same in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

SEED = 20261129


def spoilt(whole: bytes, places: int, *, skip: tuple[int, int] = (0, 0)) -> Iterator[tuple[str, bytes]]:
    """Yield what became of ``whole``, each with its name: one byte of every part flipped, and the end cut off there.

    Args:
        whole: the file's content.
        places: how many of each.
        skip: from and to where nothing is flipped.
    """
    rng = random.Random(SEED)
    step = max(len(whole) // places, 1)
    for start in range(0, len(whole), step):
        at = rng.randrange(start, min(start + step, len(whole)))
        if not skip[0] <= at < skip[1]:
            flipped = bytearray(whole)
            flipped[at] ^= 1 << rng.randrange(8)
            yield f"bit of byte {at}", bytes(flipped)
            flipped[at] = rng.randrange(256)
            yield f"byte {at}", bytes(flipped)
        yield f"cut at {start}", whole[:start]


def restore(folder: Path, files: dict[str, bytes]) -> None:
    """Let ``folder`` hold these files and no others."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return name → content of the folder's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
