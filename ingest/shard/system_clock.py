"""The ingest clock over this machine's clocks."""

from __future__ import annotations

import time

from ingest.pipeline.ingest_clock import IngestClock
from system.clock import wall_ms


class SystemClock:
    """Ingest time of this process, anchored when it is made."""

    def __init__(self) -> None:
        self._clock = IngestClock(wall_ms(), _monotonic_ms())

    def now_ms(self) -> int:
        """Return ingest time, epoch ms UTC; never goes back."""
        return self._clock.read(wall_ms(), _monotonic_ms())

    def take_steps(self) -> list[int]:
        """Return jumps of the wall clock above 2 s since the last call, in ms."""
        return self._clock.take_steps()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
