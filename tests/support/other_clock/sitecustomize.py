"""Moves the wall clock of a process whose ``PYTHONPATH`` has this folder by what the file ``WALL_CLOCK_FILE`` says.

Only ``time.time`` and ``time.time_ns`` are moved. Linli reads the wall clock in one place, by the latter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def _move(file: str, seconds: Callable[[], float], nanoseconds: Callable[[], int]) -> None:
    def off_s() -> float:
        with open(file, encoding="ascii") as text:  # noqa: PTH123 - pathlib is not loaded at the start of each process
            return float(text.read())

    time.time = lambda: seconds() + off_s()
    time.time_ns = lambda: nanoseconds() + int(off_s() * 1_000_000_000)


if os.environ.get("WALL_CLOCK_FILE"):
    _move(os.environ["WALL_CLOCK_FILE"], time.time, time.time_ns)
