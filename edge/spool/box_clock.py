"""The box's two clocks: the wall clock says the date and may be set, the other counts since the start and may not."""

from __future__ import annotations

from collections.abc import Callable

STEP_MS = 1_000
"""The wall clock was set when it moved by so much against the other one; less is its ordinary correction."""


class BoxClock:
    """Tells by how much the wall clock is ahead of the time since the machine started.

    Args:
        boot_id: names this start of the machine: both clocks are compared within it alone.
        now_ms: the wall clock, epoch ms.
        since_boot_ms: how long the machine has been running, ms; nobody sets it.
    """

    def __init__(self, boot_id: str, now_ms: Callable[[], int], since_boot_ms: Callable[[], int]) -> None:
        self.boot_id, self.now_ms, self.since_boot_ms = boot_id, now_ms, since_boot_ms

    def offset_ms(self) -> int:
        """Return the wall clock's time at the start of the machine, as it would have it now."""
        return self.now_ms() - self.since_boot_ms()
