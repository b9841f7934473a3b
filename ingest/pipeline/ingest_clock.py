"""The time of ingest: a line that never jumps, and by how much the log's time lies beside it. Pure.

See docs/protocol.md#ingest-time.

The line is a monotonic clock, anchored at the start and slewed towards the wall clock by at most 5%. Where the wall
clock stays more than 2 s elsewhere for five seconds, the log's time is to follow it: :meth:`IngestClock.due_shift_ms`
says by how much, and :meth:`IngestClock.shift` does it.
"""

from __future__ import annotations

STEP_MS = 2_000
SETTLE_MS = 5_000
STEADY_MS = 1_000
MAX_SLEW = 0.05
TRUSTED_AFTER_MS = 3_600_000
"""A clock that lay behind the log at the start and that nobody has corrected for so long is taken for right."""


class IngestClock:
    """Time from two readings taken together.

    Args:
        wall_ms: epoch ms now.
        monotonic_ms: any monotonic clock in ms now.
        floor_ms: a wall clock before it is wrong; it is not followed.
        last_ms: the log's newest time, 0 when it is empty.
    """

    def __init__(self, wall_ms: int, monotonic_ms: int, *, floor_ms: int = 0, last_ms: int = 0) -> None:
        self._floor_ms, self._behind_ms = floor_ms, last_ms - STEP_MS
        anchor_ms = max(wall_ms, floor_ms)
        if wall_ms < floor_ms or anchor_ms >= self._behind_ms:
            anchor_ms = max(anchor_ms, last_ms + 1)
        behind = anchor_ms < self._behind_ms
        self._line_ms = float(last_ms + 1 if behind else anchor_ms)
        self.offset_ms = anchor_ms - (last_ms + 1) if behind else 0
        self._began_ms = self._last_monotonic_ms = monotonic_ms
        self._last_wall_ms = wall_ms
        self._steps_ms: list[int] = []
        self._elsewhere: tuple[float, int] | None = None  # by how much, since when

    def read(self, wall_ms: int, monotonic_ms: int) -> int:
        """Return the line's time for these readings; at least what it was before."""
        passed_ms = max(monotonic_ms - self._last_monotonic_ms, 0)
        step_ms = (wall_ms - self._last_wall_ms) - passed_ms
        if abs(step_ms) > STEP_MS:
            self._steps_ms.append(step_ms)
        self._last_monotonic_ms, self._last_wall_ms = max(monotonic_ms, self._last_monotonic_ms), wall_ms
        self._line_ms += passed_ms
        off_ms = wall_ms - (self._line_ms + self.offset_ms)
        if abs(off_ms) <= STEP_MS:
            self._elsewhere = None
            self._line_ms += min(max(off_ms, -MAX_SLEW * passed_ms), MAX_SLEW * passed_ms)
        elif wall_ms < self._floor_ms:
            self._elsewhere = None
        elif self._elsewhere is None or abs(off_ms - self._elsewhere[0]) > STEADY_MS:
            self._elsewhere = (off_ms, self._last_monotonic_ms)
        return int(self._line_ms)

    def due_shift_ms(self) -> int:
        """Return by how much the log's time is to be moved now; 0 while it is right, or not yet known."""
        if self._elsewhere is None or self._last_monotonic_ms - self._elsewhere[1] < SETTLE_MS:
            return 0
        return round(self._elsewhere[0])

    def shift(self, by_ms: int) -> None:
        """Move the log's time; the line stays."""
        self.offset_ms += by_ms
        self._elsewhere, self._behind_ms = None, 0

    def trust(self) -> None:
        """Take the wall clock for right although the log says later times: there is proof."""
        self._behind_ms = 0

    def doubt(self) -> str:
        """Return why the wall clock must be wrong, as numbers; empty when nothing speaks against it."""
        if self._last_wall_ms < self._floor_ms:
            return f"{self._last_wall_ms} is before this program was made"
        if self._last_monotonic_ms - self._began_ms > TRUSTED_AFTER_MS:
            self._behind_ms = 0
        if self._last_wall_ms < self._behind_ms:
            return f"{self._behind_ms + STEP_MS - self._last_wall_ms} ms behind the log's newest time"
        return ""

    def take_steps(self) -> list[int]:
        """Return jumps of the wall clock above 2 s since the last call, in ms, forward positive."""
        steps, self._steps_ms = self._steps_ms, []
        return steps
