"""Another wall clock for the Linli processes that a test starts, told by a file that may change meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SHIM = Path(__file__).with_name("other_clock")


class WallClock:
    """The clock of every process that is started while this holds. Monotonic clocks stay the machine's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.off_by(0)

    def off_by(self, seconds: float) -> None:
        """Put it ``seconds`` ahead of the machine's (behind, when negative)."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:f}", encoding="ascii")
        fresh.replace(self._file)

    def environment(self) -> dict[str, str]:
        """What a process is told, beside its settings, so that it lives by this clock."""
        before = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(_SHIM), *([before] if before else [])])
        return {"WALL_CLOCK_FILE": str(self._file), "PYTHONPATH": path}

    def of_1970(self) -> None:
        """Put it where a machine without a battery begins."""
        self.off_by(60 - time.time())


@contextmanager
def wall_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WallClock]:
    """A clock for processes started inside."""
    clock = WallClock(folder / "wall-clock")
    with monkeypatch.context() as patched:
        for name, value in clock.environment().items():
            patched.setenv(name, value)
        yield clock
