"""Waiting for what other threads and processes do: until it is so, and no longer than a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 240.0
"""The machine may be busy."""


def until(done: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until ``done``; fail after ``patience_s``, saying for ``what``."""
    deadline_s = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline_s, f"waited {patience_s:.0f} s for {what}"
        time.sleep(0.1)  # between two looks at others, which tell nobody; the end decides, not the pause
