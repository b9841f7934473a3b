"""Whether the inventory is the one that it was, and went on from where it was: if not, an operator alarm says so.

The last change that was seen is kept here, with the incidents: a store cannot say itself that it is a copy of long ago.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy import Connection, delete, select

from incidents.store.counters import advance
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from incidents.store.schema import counters
from incidents.store.store import Store
from inventory.inventory import Inventory
from inventory.numbers import StoreState
from system.clock import Clock, wall_ms

ACTOR = "inventory-monitor"
_PREFIX = "inventory/"  # then identity/transaction
_OURS = counters.c.name.startswith(_PREFIX, autoescape=True)
_log = structlog.get_logger("incidents.monitor.inventory_monitor")


def what_is_behind(known: StoreState, now: StoreState) -> str:
    """Return how a store that went back is told of, in one line.

    >>> what_is_behind(StoreState("a", 9), StoreState("a", 4))
    'change 9 was known, its newest is 4: put back from a backup?'
    """
    if now.identity == known.identity:
        return f"change {known.change} was known, its newest is {now.change}: put back from a backup?"
    return f"another store, its newest change is {now.change}; the one before had {known.change}: lost, or made anew?"


class InventoryMonitor:
    """Looks at the inventory from time to time."""

    def __init__(self, inventory: Inventory, store: Store, *, clock_ms: Clock = wall_ms) -> None:
        self._inventory, self._store, self._clock_ms = inventory, store, clock_ms
        self._last: StoreState | None = None

    def step(self) -> str:
        """Look once; what is wrong, or nothing. Of a store that went back everything is said again under a new name.

        Raises:
            Transient: a database is away.
        """
        state = self._inventory.state()
        if state == self._last:
            return ""
        with self._store.read() as connection:
            known = known_state(connection)
        wrong = what_is_behind(known, state) if known is not None and self._inventory.is_behind(known, state) else ""
        if wrong:
            _log.error("the inventory went back", detail=wrong)
            self._tell(state, wrong)
            if known is not None and state.identity == known.identity:
                self._inventory.begin_anew(actor=ACTOR, now_ms=self._clock_ms())
                state = self._inventory.state()
        if state != known:
            with self._store.write() as connection:
                _keep(connection, state)
        self._last = state
        return wrong

    def run(self, stop: threading.Event, every_s: float = 5.0, *, mine: Callable[[], bool] = lambda: True) -> None:
        """Look every ``every_s`` until ``stop``, while ``mine`` says that this process is the one that does."""
        while not stop.wait(every_s):
            if mine():
                self.step()

    def _tell(self, state: StoreState, wrong: str) -> None:
        with self._store.write() as connection:
            raise_alarm(connection, AlarmCode.INVENTORY_WENT_BACK, state.identity, wrong, self._clock_ms())


def known_state(connection: Connection) -> StoreState | None:
    """Return what was seen of the inventory last; None before the first look."""
    row = connection.execute(select(counters).where(_OURS)).first()
    if row is None:
        return None
    _, identity, transaction = str(row.name).split("/")
    return StoreState(identity, int(row.value), transaction)


def _keep(connection: Connection, state: StoreState) -> None:
    connection.execute(delete(counters).where(_OURS))
    advance(connection, f"{_PREFIX}{state.identity}/{state.transaction}", state.change)
