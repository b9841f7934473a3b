"""The hand-off of findings to incidents: by one process, or shared by several."""

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

TAKE_FINDINGS = 500
STEP_S = 0.25
"""A step of :class:`SharedRelays` begins at most so often. A transaction costs as much as several findings in it, so
what comes within a quarter of a second is taken together; every finding, life safety too, waits at most that long.
"""


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
