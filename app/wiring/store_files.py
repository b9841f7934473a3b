"""Which files of SQLite a deployment has on this machine, as the settings name them."""

from __future__ import annotations

from pathlib import Path

from app.settings.settings import Settings
from app.wiring.district import is_district
from app.wiring.stores import incidents_url, inventory_url
from streams.log.sqlite.day_names import day_files
from streams.sqlite_file import check_before_opening

_SQLITE = "sqlite:///"


def sqlite_files(settings: Settings) -> list[Path]:
    """Return those that are there now, each once; days of the log first, by day."""
    named = [settings.dead_letters.folder / "dead-letters.db", settings.results.spool]
    if settings.archive.folder is not None:
        named.append(settings.archive.folder / "archive.db")
    urls = (incidents_url(settings), inventory_url(settings), settings.results.url)
    named += [Path(url.removeprefix(_SQLITE)) for url in urls if url.startswith(_SQLITE)]
    days: list[Path] = []
    if not is_district(settings):
        folder = settings.log.folder()
        days = day_files(folder)
        named.append(folder / "engine.db")
    return [path for path in dict.fromkeys([*days, *named]) if path.is_file()]


def is_missing_file(url: str) -> bool:
    """Return whether this is a database in a file that is not there: opening it would make it."""
    return url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists()


def check_files(settings: Settings) -> None:
    """Raise unless every file may be opened: head, length and journal, and of small ones each page.

    Raises:
        Permanent: one is damaged; names it and says what to do.
    """
    for path in sqlite_files(settings):
        check_before_opening(path, whole=True)
