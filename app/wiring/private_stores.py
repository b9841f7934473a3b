"""Where a deployment keeps what is about people: folders and files that only Linli's account may read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from app.settings.kinds import SQLITE
from app.settings.settings import Settings
from app.wiring.stores import boxes_file
from system.private_files import close_to_others, open_to_others

LOG = structlog.get_logger("linli")
_WITH = ("", "-wal", "-shm", "-journal")


def private_paths(settings: Settings) -> Iterator[Path]:
    """Yield every folder and every file of a database that the settings name and that is there."""
    folders = [settings.evidence.folder, settings.dead_letters.folder, settings.archive.folder]
    if not settings.log.on_kafka:
        folders.append(settings.log.folder())
    for folder in folders:
        if folder is not None and folder.is_dir():
            yield folder
            yield from sorted(path for path in folder.glob("*.db*") if path.is_file())
    urls = [settings.incidents.url, settings.inventory.url, settings.results.url]
    files = [Path(url.removeprefix(SQLITE)) for url in urls if url.startswith(SQLITE)]
    for file in [*files, settings.results.spool, boxes_file(settings)]:
        yield from (path for path in (file.with_name(file.name + end) for end in _WITH) if path.is_file())


def open_paths(settings: Settings) -> list[Path]:
    """Return those that others may read or enter, each once."""
    return [path for path in dict.fromkeys(private_paths(settings)) if open_to_others(path)]


def close_stores(settings: Settings) -> None:
    """Take from others what they may do with what an earlier version, or somebody, has made."""
    closed = [path for path in open_paths(settings) if close_to_others(path)]
    if closed:
        LOG.warning("closed_to_others", paths=[str(path) for path in closed])
