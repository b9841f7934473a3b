"""Keeps on disk when devices were last heard, so that a restart forgets none, however long they are silent.

Written every few minutes and at the end. What came since the last time is heard again from the log at the next start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from inventory.inventory import Inventory
from inventory.last_seen import LastSeen, LastSeenTable

KEEP_S = 300.0
"""From one writing to the next: a start reads as much of the log again."""


class LastSeenKeeper:
    """One table's keeper.

    Args:
        table: what is kept.
        inventory: where.
        through_ms: says up to which time of the log the table has heard everything.
    """

    def __init__(self, table: LastSeenTable, inventory: Inventory, through_ms: Callable[[], int]) -> None:
        self._table, self._inventory, self._through_ms = table, inventory, through_ms
        self._kept: dict[tuple[str, str], LastSeen] = {}

    def load(self) -> int:
        """Let the table know what was kept; up to which time of the log that is complete, 0 when nothing was kept.

        Raises:
            Transient: the database is away.
        """
        kept = self._inventory.last_seen()
        self._table.take(kept.devices)
        self._kept = dict(kept.devices)
        return kept.through_ms

    def keep(self) -> None:
        """Write what has changed since the last time. Raises as :meth:`load`."""
        through_ms = self._through_ms()
        known = self._table.known()
        changed = {key: heard for key, heard in known.items() if self._kept.get(key) != heard}
        self._inventory.keep_last_seen(changed, through_ms)
        self._kept = known

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``; then once more."""
        while not stop.wait(KEEP_S):
            self.keep()
        self.keep()
