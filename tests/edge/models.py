"""Manifests of the public models, with their files beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.inference.manifest import load_manifest
from tests.support.shared import need_shared

MANIFESTS = Path(__file__).resolve().parents[2] / "edge" / "models"


def shared_manifest(name: str, folder: Path) -> Path:
    """A copy of ``edge/models/{name}.toml`` in ``folder``, its model linked beside it; skips when that is absent."""
    path = folder / f"{name}.toml"
    shutil.copy(MANIFESTS / path.name, path)
    file = load_manifest(path).file
    model = folder / file
    if not model.exists():
        model.symlink_to(need_shared(f"models/{file}"))
    return path
