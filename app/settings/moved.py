"""Stores that were looked for elsewhere before: they followed nothing, and paths in a file ignored where the file lay.

Starting with an empty store where a full one is meant would look like a loss, so it is refused, with both places named.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from app.settings.kinds import SQLITE
from app.settings.stores import LOG_FOLDER

ENGINE_FILE = "engine.db"


class Why(enum.StrEnum):
    """Why a store is looked for elsewhere than before."""

    FOLLOWS_LOG = "it follows log.url"
    UNDER_THE_FILE = "it is relative to the file"


class StorePlace(msgspec.Struct, frozen=True):
    """One store: the texts of where it would have been before and where it is now, and why they differ."""

    name: str
    before: str
    now: str
    why: Why


def left_behind(
    places: Iterable[StorePlace], log_folder: Path | None, exists: Callable[[Path], bool] = Path.exists
) -> list[str]:
    """Return a line for each store that is where it was looked for before, and not where it is looked for now.

    Only a community that has run has left anything: its log's folder has an ``engine.db``. And what lies in
    ``linli-data`` with an ``engine.db`` beside it belongs to another community, whose log that is.
    """
    ran = log_folder is not None and exists(log_folder / ENGINE_FILE) and not exists(Path(LOG_FOLDER, ENGINE_FILE))
    found = []
    for place in places:
        before, now = _path(place.before), _path(place.now)
        if before is None or now is None or before.absolute() == now.absolute():
            continue
        if (ran or place.why is Why.UNDER_THE_FILE) and exists(before) and not exists(now):
            found.append(
                f"{place.name}: there is {before.absolute()}, which was used before, but now {now.absolute()} would be "
                f"({place.why}). Move it there, or set {place.name} to the path of the one that you mean"
            )
    return found


def _path(text: str) -> Path | None:
    """Return the path in a text; None where it is a server's."""
    if text.startswith(SQLITE):
        return Path(text.removeprefix(SQLITE))
    return None if not text or ":" in text.partition("/")[0] else Path(text)
