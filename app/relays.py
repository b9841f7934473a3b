"""The hand-offs between the rooms of one process: findings to incidents, inventory to the incidents' directory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from contracts.findings import Finding
from contracts.hops import Hop, HopTimes
from incidents.directory import MemoryDirectory
from incidents.intake import Intake
from incidents.store import wall_ms
from ingest.inventory import Inventory

TAKE_FINDINGS = 500
FOLLOW_CHANGES = 1_000
LOG = structlog.get_logger("linli.incidents")


class FindingsSource(Protocol):
    """Findings in order of decision, numbered by whoever keeps them."""

    def findings_after(self, n: int, limit: int) -> list[tuple[int, Finding]]:
        """At most ``limit`` findings with a number above ``n``, in order."""
        ...

    def kept_ms(self, numbers: Sequence[int]) -> Mapping[int, int]:
        """When each was kept, epoch ms UTC, as far as it is known."""
        ...


class FindingsRelay:
    """Findings of the engine's store into incidents; the cursor lies in the incidents' own transaction.

    Args:
        times: those of ``decided_to_incident`` and ``due_to_incident`` to count in.
    """

    def __init__(self, store: FindingsSource, intake: Intake, times: tuple[HopTimes, HopTimes] | None = None) -> None:
        self._store = store
        self._intake = intake
        self._decided, self._due = times or (HopTimes(Hop.DECIDED_TO_INCIDENT), HopTimes(Hop.DUE_TO_INCIDENT))
        self._wake = threading.Event()

    def wake(self) -> None:
        """There are new findings; callable from any thread."""
        self._wake.set()

    def step(self) -> int:
        """Hand over what has not been taken yet, up to a bound; how much it was."""
        findings = self._store.findings_after(self._intake.cursor(), TAKE_FINDINGS)
        taken = self._intake.take(findings)
        for incident_id in taken.opened:
            LOG.info("incident_opened", trace=taken.traces[incident_id], incident=incident_id)
        if taken.new:
            self._count(findings)
        return len(findings)

    def _count(self, findings: Sequence[tuple[int, Finding]]) -> None:
        now_ms = wall_ms()
        self._decided.add(now_ms - at_ms for at_ms in self._store.kept_ms([n for n, _ in findings]).values())
        self._due.add(now_ms - finding.due_ms for _, finding in findings)

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``; then once more."""
        while not stop.is_set():
            self._wake.wait(0.25)
            self._wake.clear()
            while self.step():
                pass
        while self.step():
            pass


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

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``."""
        while not stop.wait(1.0):
            while self.step():
                pass
