"""The ingest clock over this machine's clocks."""

from __future__ import annotations

import time

from ingest.pipeline.ingest_clock import IngestClock
from system.clock import wall_ms
from system.host_clock import MADE_MS, synchronised


class SystemClock:
    """Ingest time of this process, anchored when it is made.

    Args:
        last_ms: the log's newest time.
    """

    def __init__(self, last_ms: int = 0) -> None:
        self._clock = IngestClock(wall_ms(), _monotonic_ms(), floor_ms=MADE_MS, last_ms=last_ms)

    @property
    def offset_ms(self) -> int:
        """The log's time less the line's."""
        return self._clock.offset_ms

    def now_ms(self) -> int:
        """Return the line's time; never goes back, and never jumps."""
        return self._clock.read(wall_ms(), _monotonic_ms())

    def due_shift_ms(self) -> int:
        """Return by how much the log's time is to follow the machine's clock now."""
        return self._clock.due_shift_ms()

    def shift(self, by_ms: int) -> None:
        """Move the log's time."""
        self._clock.shift(by_ms)

    def doubt(self, *, agreed: bool) -> str:
        """Return why the machine's clock must be wrong; empty when it may be right.

        Args:
            agreed: a device tells the same time.
        """
        doubt = self._clock.doubt()
        if doubt and (agreed or synchronised()):
            self._clock.trust()
        return doubt and self._clock.doubt()

    def take_steps(self) -> list[int]:
        """Return jumps of the wall clock above 2 s since the last call, in ms."""
        return self._clock.take_steps()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
