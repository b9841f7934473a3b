"""Where each part of a machine's backup lies on the machine, as the settings name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.settings.settings import Settings
from app.settings.stores import sqlite_path
from app.wiring.stores import boxes_file, inventory_url
from contracts.errors import ConfigurationError
from streams.archive.archive import KEY_FILE
from streams.log.sqlite.day_names import day_files

LOG, EVIDENCE, ARCHIVE, LETTERS = "log", "evidence", "archive", "dead-letters"
SQLITE = "sqlite:///"


class Stored(msgspec.Struct, frozen=True):
    """One file or folder of the machine: its name within a backup, and its path."""

    name: str
    path: Path


def need_one_machine(settings: Settings) -> None:
    """Raise unless all that must fit together lies in files of this machine.

    Raises:
        ConfigurationError: says what does not, and how that is backed up.
    """
    if settings.log.on_kafka or settings.incidents.on_postgresql or not inventory_url(settings).startswith(SQLITE):
        raise ConfigurationError(
            "a backup is of one machine with its log, incidents and inventory in files; a district is backed up with "
            "pg_dump and copies of its folders (`linli docs runbook`: restoring from a backup)"
        )


def databases(settings: Settings) -> list[Stored]:
    """Return the databases but for the log's days: who reads before what it reads, the inventory next to the log."""
    log = settings.log.folder()
    found = [Stored("results-spool.db", settings.results.spool)]
    if settings.results.url.startswith(SQLITE):
        found.insert(0, Stored("results.db", sqlite_path("results.url", settings.results.url)))
    found += [Stored("incidents.db", sqlite_path("incidents.url", settings.incidents.url))]
    if settings.archive.folder is not None:
        found.append(Stored(f"{ARCHIVE}/archive.db", settings.archive.folder / "archive.db"))
    return [
        *found,
        Stored(f"{LETTERS}/dead-letters.db", settings.dead_letters.folder / "dead-letters.db"),
        Stored(f"{LOG}/engine.db", log / "engine.db"),
        inventory_of(settings),
    ]


def inventory_of(settings: Settings) -> Stored:
    """Return the database of the inventory."""
    return Stored("config.db", sqlite_path("inventory.url", inventory_url(settings)))


def days(settings: Settings) -> list[Stored]:
    """Return the days of the log that are there now."""
    return [Stored(f"{LOG}/{path.name}", path) for path in day_files(settings.log.folder())]


def plain_files(settings: Settings) -> Iterator[Stored]:
    """Yield what is no database: evidence, segments, keys, the boxes' tokens. Half an upload is left out."""
    yield Stored("boxes.jsonl", boxes_file(settings))
    yield Stored(f"{LETTERS}/key", settings.dead_letters.folder / "key")
    yield Stored(f"{EVIDENCE}/evidence.key", settings.evidence.folder / "evidence.key")
    yield from _below(f"{EVIDENCE}/present", settings.evidence.folder / "present")
    folder = settings.archive.folder
    if folder is not None:
        yield Stored(f"{ARCHIVE}/{KEY_FILE}", settings.archive.key_file or folder / KEY_FILE)
        yield from (one for one in _below(ARCHIVE, folder) if one.path.suffix == ".seg")


def place_of(name: str, settings: Settings) -> Path:
    """Return where the file of a backup belongs on this machine.

    Raises:
        ConfigurationError: its store is switched off here, or no backup has such a file.
    """
    known = {one.name: one.path for one in (*databases(settings), *plain_keys(settings))}
    if name in known:
        return known[name]
    folders = {LOG: settings.log.folder(), EVIDENCE: settings.evidence.folder, ARCHIVE: settings.archive.folder}
    first, _, rest = name.partition("/")
    folder = folders.get(first)
    if folder is None or not rest:
        raise ConfigurationError(f"the backup holds {name}, which has no place here: see that its store is configured")
    return folder / rest


def plain_keys(settings: Settings) -> Iterator[Stored]:
    """Yield the files of a fixed name that are no databases."""
    yield from (one for one in plain_files(settings) if one.path.suffix != ".seg" and "/present/" not in one.name)


def _below(name: str, folder: Path) -> Iterator[Stored]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(".new"):
            yield Stored(f"{name}/{path.relative_to(folder).as_posix()}", path)
