"""The hand-offs between the rooms: findings to incidents, inventory to the incidents' directory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from contracts.findings import FindingsReader
from incidents.intake.intake import FindingBatch, Intake, IntakeResult, take_batches
from incidents.store.leases import Leases
from incidents.store.store import Store
from inventory.directory import MemoryDirectory
from inventory.inventory import Inventory

TAKE_FINDINGS = 500
FOLLOW_CHANGES = 1_000
STEP_S = 0.25
"""A step of :class:`SharedRelays` begins at most so often. A transaction costs as much as several findings in it, so
what comes within a quarter of a second is taken together; every finding, life safety too, waits at most that long.
"""
INVENTORY_S = 2.0
"""How old the names may be that people read: seldom changed, and each look is a transaction of its own."""


class FindingsFeed(FindingsReader, Protocol):
    """Findings that also say when they were kept; ``SqliteCheckpointStore`` is one."""

    def kept_ms(self, numbers: Sequence[int]) -> Mapping[int, int]:
        """Return when each of those just given was kept, epoch ms UTC, as far as it is known."""
        ...


class Relay(Protocol):
    """A source of findings on its way to the incidents.

    Attributes:
        intake: takes what was read.
    """

    intake: Intake

    def read(self) -> FindingBatch | None:
        """Return what has not been taken yet, up to a bound; None: nothing.

        Raises:
            Transient: the source or the incidents are away.
        """
        ...

    def committed(self, batch: FindingBatch, taken: IntakeResult) -> None:
        """Do what is due once the transaction that took it is durable."""
        ...

    def rest(self) -> None:
        """Forget what is known of the source: another process has it for now."""
        ...

    def step(self) -> int:
        """Read and take, in a transaction of its own; return how many records that were. Raises as :meth:`read`."""
        batch = self.read()
        if batch is None:
            return 0
        hand_over([(self, batch)], self.intake.store)
        return batch.records


def hand_over(given: Sequence[tuple[Relay, FindingBatch]], store: Store) -> None:
    """Take what the relays have read in one transaction, and tell each that it is durable."""
    with store.write() as connection:
        taken = take_batches(connection, [(relay.intake, batch) for relay, batch in given])
    for (relay, batch), one in zip(given, taken, strict=True):
        relay.committed(batch, one)


class FindingsRelay(Relay):
    """Findings of one source into incidents; the cursor lies in the incidents' own transaction."""

    def __init__(self, source: FindingsFeed, intake: Intake) -> None:
        self._source = source
        self.intake = intake
        self._wake = threading.Event()

    def wake(self) -> None:
        """Say that there are new findings; callable from any thread."""
        self._wake.set()

    def cursor(self) -> int:
        """Return the number of the last finding taken."""
        return self.intake.cursor()

    def read(self) -> FindingBatch | None:
        """See :class:`Relay`."""
        findings = self._source.findings_after(self.intake.cursor(), TAKE_FINDINGS)
        kept_ms = self._source.kept_ms([n for n, _ in findings])
        return FindingBatch(findings, kept_ms=kept_ms, records=len(findings)) if findings else None

    def committed(self, batch: FindingBatch, taken: IntakeResult) -> None:
        """See :class:`Relay`."""
        self.intake.after_commit(batch, taken)

    def rest(self) -> None:
        """See :class:`Relay`; nothing is remembered."""

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``; then once more."""
        while not stop.is_set():
            self._wake.wait(0.25)
            self._wake.clear()
            while self.step():
                pass
        while self.step():
            pass


class SharedRelays:
    """Relays of many sources, each worked by one process at a time: the one that has claimed the source.

    What several sources have is taken in one transaction, since a transaction costs more than a finding in it. Two
    processes at one source would do no harm, but the work twice: what is known is ignored.
    """

    def __init__(self, relays: Mapping[str, Relay], leases: Leases, store: Store) -> None:
        self._relays = deque(relays.items())
        self._leases = leases
        self._store = store

    def step(self) -> int:
        """Hand over from the sources that are ours, up to a bound in all; how many findings that were.

        Raises:
            Transient: a source or the incidents are away; the next step begins with the source after that.
        """
        given = self._read()
        if not given:
            return 0
        hand_over(given, self._store)
        return _findings(given)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``, at its pace; without a pause while there is more than one step takes."""
        while not stop.is_set():
            due_s = time.monotonic() + STEP_S
            if self.step() < TAKE_FINDINGS:
                stop.wait(max(0.0, due_s - time.monotonic()))

    def _read(self) -> list[tuple[Relay, FindingBatch]]:
        given: list[tuple[Relay, FindingBatch]] = []
        for _ in range(len(self._relays)):
            name, relay = self._relays[0]
            self._relays.rotate(-1)
            if not self._leases.holds(f"findings/{name}"):
                relay.rest()
                continue
            batch = relay.read()
            if batch is not None:
                given.append((relay, batch))
            if _findings(given) >= TAKE_FINDINGS:
                break
        return given


def _findings(given: Sequence[tuple[Relay, FindingBatch]]) -> int:
    return sum(len(batch.findings) for _, batch in given)


class DirectoryRelay:
    """Changes of the inventory into the directory that incidents and console look names up in."""

    def __init__(self, inventory: Inventory, directory: MemoryDirectory) -> None:
        self._inventory = inventory
        self._directory = directory
        self._change = 0

    def step(self) -> int:
        """Apply changes not applied yet; how many there were."""
        changes = self._inventory.changes_after(self._change, FOLLOW_CHANGES)
        for change, record in changes:
            self._directory.apply(record)
            self._change = change
        return len(changes)

    def catch_up(self) -> None:
        """Apply every change there is."""
        while self.step():
            pass

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``."""
        while not stop.wait(INVENTORY_S):
            self.catch_up()
