"""Whether this machine's clock is kept right by somebody, as its kernel knows it."""

from __future__ import annotations

import ctypes
import sys

MADE_MS = 1_735_689_600_000
"""2025-01-01: the program is younger than this, so a clock before it is wrong."""
_TIME_ERROR = 5
_BUFFER_BYTES = 512  # larger than any kernel's struct timex; modes = 0 only reads


def synchronised() -> bool | None:
    """Return whether NTP holds the clock; None where the kernel cannot be asked."""
    if sys.platform != "linux":
        return None
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_BUFFER_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
