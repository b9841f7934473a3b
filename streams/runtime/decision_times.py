"""How long it takes until findings are decided: since they were due, and since their record was durable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from contracts.findings import Finding, Output
from contracts.hops import Hop, HopTimes


class DecisionTimes(msgspec.Struct):
    """How long it took until findings were handed to the checkpoint store. Several drivers of a process may count in
    one.
    """

    due: HopTimes = msgspec.field(default_factory=lambda: HopTimes(Hop.DUE_TO_DECIDED))
    durable: HopTimes = msgspec.field(default_factory=lambda: HopTimes(Hop.DURABLE_TO_DECIDED))

    def add(self, decided: Iterable[Output], written_ms: Mapping[int, int], now_ms: int) -> None:
        """Count findings handed over at ``now_ms``; ``written_ms``: when their records were written, by position."""
        found = [output for output in decided if isinstance(output, Finding)]
        self.due.add(now_ms - finding.due_ms for finding in found)
        written = (written_ms.get(finding.position, 0) for finding in found)
        self.durable.add(now_ms - at_ms for at_ms in written if at_ms)
