"""The wall clock: the one place that reads it in milliseconds. Beside it the clock that nobody sets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

Clock = Callable[[], int]
"""Gives epoch ms UTC."""


def wall_ms() -> int:
    """Return the time now, epoch ms UTC. May step back when somebody sets the machine's clock."""
    return time.time_ns() // 1_000_000


def since_boot_ms() -> int:
    """Return how long the machine has been running, ms, sleep included where the system counts it. Nobody sets it."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Return the name of this start of the machine; one of this process where the system gives none."""
    try:
        return path.read_text(encoding="ascii").strip() or secrets.token_hex(16)
    except (OSError, UnicodeDecodeError):
        return secrets.token_hex(16)
