"""Follows the inventory's changes into the directory that other rooms look names up in."""

from __future__ import annotations

import threading

from inventory.directory import MemoryDirectory
from inventory.inventory import Inventory
from inventory.numbers import StoreState

FOLLOW_CHANGES = 1_000
FOLLOW_S = 2.0
"""How old the names may be that people read: seldom changed, and each look is a transaction of its own."""


class DirectoryRelay:
    """Applies changes of the inventory to a directory, in order, each once."""

    def __init__(self, inventory: Inventory, directory: MemoryDirectory) -> None:
        self._inventory = inventory
        self._directory = directory
        self._state = StoreState("", 0)
        self._change = 0

    def step(self) -> int:
        """Apply changes not applied yet; return how many there were. Of another store, or one that went back, all."""
        state = self._inventory.state()
        if state == self._state and self._change >= state.change:
            return 0
        if self._inventory.is_behind(self._state, state):
            self._change = 0
        self._state = state
        changes = self._inventory.changes_after(self._change, FOLLOW_CHANGES)
        for change, record in changes:
            self._directory.apply(record)
            self._change = change
        if not changes:
            self._change = max(self._change, state.change)  # the newest ones were erased
        return len(changes)

    def catch_up(self) -> None:
        """Apply every change there is, and what ingest noticed of devices."""
        while self.step():
            pass
        self._directory.set_notices(self._inventory.notices.current())

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``."""
        while not stop.wait(FOLLOW_S):
            self.catch_up()
