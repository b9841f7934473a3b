"""What stands beside a field of a settings table: what it means, and what kind of value it has."""

from __future__ import annotations

from typing import Any

import msgspec

from app.settings.kinds import Kind


class About(msgspec.Struct, frozen=True):
    """About one setting.

    Args:
        meaning: what it means, in a line.
        kind: what its value can be.
        beside_log: of a store that follows ``log.url`` unless it is set: its name in that folder.
        when_empty: what is in force where the value is empty, as people may see it.
    """

    meaning: str
    kind: Kind[Any]
    beside_log: str = ""
    when_empty: str = ""
