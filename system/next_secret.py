"""Where a new secret lies while the one in force is exchanged for it: beside it, until both sides have it."""

from __future__ import annotations

from pathlib import Path

NEXT = ".next"


def next_of(path: Path) -> Path:
    """Return the file of the secret that is to follow the one in ``path``; there only while they are exchanged."""
    return path.with_name(path.name + NEXT)
