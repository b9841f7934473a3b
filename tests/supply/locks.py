"""The packages that lock files name: pip's with hashes, and npm's, should the page ever have one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[2]
PYTHON_LOCK = ROOT / "deploy" / "requirements.lock"
NPM_LOCK = "package-lock.json"
_PACKAGE = re.compile(r"([a-z0-9][a-z0-9._-]*)==([A-Za-z0-9.+!_-]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"#\s+(?:via\s+)?([a-z0-9][a-z0-9._-]*(?:\s\([^)]*\))?)\s*$")


class LockError(Exception):
    """A lock file is missing, or is none; says which."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a lock. ``needed_by``: names of those that brought it; ``hashes``: SHA-256 of its files."""

    ecosystem: str  # as OSV calls it: PyPI, npm
    name: str
    version: str
    hashes: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()

    @property
    def purl(self) -> str:
        """Return its package URL."""
        kind, name = self.ecosystem.lower(), self.name.replace("@", "%40")
        return f"pkg:{kind}/{name}@{self.version}"


def read_locks(python_lock: Path = PYTHON_LOCK, root: Path = ROOT) -> list[Package]:
    """Return every package of the product, by ecosystem and name.

    Raises:
        LockError: a lock is missing, empty or no lock.
    """
    try:
        packages = list(python_packages(python_lock.read_text(encoding="utf-8")))
        for path in sorted(npm_locks(root)):
            packages += npm_packages(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        why = f"{type(error).__name__}: {error}"
        raise LockError(f"the locks cannot be read ({why}): run `make lock` first") from None
    if not any(package.ecosystem == "PyPI" for package in packages):
        raise LockError(f"{python_lock} names no package: run `make lock` first")
    return sorted(packages, key=lambda package: (package.ecosystem, package.name, package.version))


def npm_locks(root: Path) -> Iterator[Path]:
    """Yield npm's locks at the places where the project would have one."""
    yield from (path for path in (root / NPM_LOCK, root / "console" / NPM_LOCK) if path.is_file())


def python_packages(text: str) -> Iterator[Package]:
    """Yield the packages of a lock that pip-compile wrote, each with its hashes and who needs it."""
    for block in re.split(r"\n(?=[a-z0-9])", text):
        found = _PACKAGE.match(block)
        if found is not None:
            via = (line for line in map(_VIA.search, block.splitlines()) if line)
            needed_by = tuple(sorted({name[1].partition(" ")[0] for name in via if name[1] != "via"}))
            hashes = tuple(sorted(_HASH.findall(block)))
            yield Package(ecosystem="PyPI", name=found[1], version=found[2], hashes=hashes, needed_by=needed_by)


def npm_packages(lock: dict[str, Any]) -> Iterable[Package]:
    """Yield the packages of an npm lock of version 2 or 3."""
    for path, said in lock["packages"].items():
        if path and not said.get("link"):
            yield Package(ecosystem="npm", name=path.rpartition("node_modules/")[2], version=said["version"])
