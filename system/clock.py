"""The wall clock: the one place that reads it in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives epoch ms UTC."""


def wall_ms() -> int:
    """Return the time now, epoch ms UTC. May step back when somebody sets the machine's clock."""
    return time.time_ns() // 1_000_000
