"""Where the public models and real clips lie, when they are present. They never enter the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]


def shared_dir() -> Path | None:
    """The folder with ``models/`` and ``clips/``: LINLI_SHARED, else ``../shared``; None when it is absent."""
    folder = Path(os.environ.get("LINLI_SHARED", _REPOSITORY.parent / "shared"))
    return folder if (folder / "clips").is_dir() else None


def need_shared(name: str) -> Path:
    """A file below the shared folder; skips the test, saying which file is missing, when it is not there."""
    folder = shared_dir()
    path = folder / name if folder else None
    if path is None or not path.exists():
        pytest.skip(f"real input {name} is absent (set LINLI_SHARED or put it in ../shared)")
    return path
