"""The time of ingest: a monotonic clock anchored at start, slewed towards the wall clock by at most 5%. Pure.

It never goes back and never jumps, whatever NTP or a person does to the wall clock
(docs/protocol.md#ingest-time).
"""

from __future__ import annotations

STEP_MS = 2_000
MAX_SLEW = 0.05


class IngestClock:
    """Time from two readings taken together.

    Args:
        wall_ms: epoch ms now.
        monotonic_ms: any monotonic clock in ms now.
    """

    def __init__(self, wall_ms: int, monotonic_ms: int) -> None:
        self._now_ms = float(wall_ms)
        self._last_monotonic_ms = monotonic_ms
        self._last_wall_ms = wall_ms
        self._steps_ms: list[int] = []

    def read(self, wall_ms: int, monotonic_ms: int) -> int:
        """Return ingest time for these readings; at least what it was before."""
        passed_ms = max(monotonic_ms - self._last_monotonic_ms, 0)
        step_ms = (wall_ms - self._last_wall_ms) - passed_ms
        if abs(step_ms) > STEP_MS:
            self._steps_ms.append(step_ms)
        self._last_monotonic_ms, self._last_wall_ms = max(monotonic_ms, self._last_monotonic_ms), wall_ms
        off_ms = wall_ms - (self._now_ms + passed_ms)
        slew_ms = min(max(off_ms, -MAX_SLEW * passed_ms), MAX_SLEW * passed_ms)
        self._now_ms += passed_ms + slew_ms
        return int(self._now_ms)

    def take_steps(self) -> list[int]:
        """Return jumps of the wall clock above 2 s since the last call, in ms, forward positive."""
        steps, self._steps_ms = self._steps_ms, []
        return steps


def wait_ms(last_watermark_ms: int, now_ms: int) -> int:
    """Return how long a start must wait until its time is past what the log already says.

    >>> wait_ms(5_000, 3_000), wait_ms(5_000, 6_000)
    (2001, 0)
    """
    return max(last_watermark_ms + 1 - now_ms, 0)
