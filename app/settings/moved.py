"""Stores that were looked for elsewhere before: they followed nothing, and paths in a file ignored where the file lay.

Starting with an empty store where a full one is meant would look like a loss, so it is refused, with both places named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from app.settings.kinds import SQLITE


class Was(msgspec.Struct, frozen=True):
    """One store: the texts of where it would have been and where it is now, and why they differ."""

    name: str
    before: str
    now: str
    why: str


def left_behind(
    places: Iterable[Was], exists: Callable[[Path], bool] = Path.exists
) -> list[str]:  # fmt: skip
    """Return a line for each store that is where it was looked for before, and not where it is looked for now."""
    found = []
    for place in places:
        before, now = _path(place.before), _path(place.now)
        if before is None or now is None or before.absolute() == now.absolute():
            continue
        if exists(before) and not exists(now):
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
