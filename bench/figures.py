"""What every bench says in the end: figures beside what is required of them, as Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One measured figure. ``met``: None where nothing is required."""

    what: str
    value: str
    required: str = ""
    met: bool | None = None

    def row(self, *before: str) -> str:
        """Return a row of a Markdown table, with ``before`` in front."""
        verdict = "" if self.met is None else (" ✓" if self.met else " ✗")
        return "| " + " | ".join([*before, self.what, self.value, f"{self.required}{verdict}"]) + " |"


def show(command: str, figures: Iterable[Figure]) -> None:
    """Print the command and its figures."""
    print(f"`{command}` on {machine()}\n\n| what | figure | required |\n|---|---|---|")
    for figure in figures:
        print(figure.row())


def machine() -> str:
    """Return what it ran on: cores, processor, Python."""
    cores = [line for line in _cpuinfo() if line.startswith("model name")]
    model = cores[0].partition(":")[2].strip() if cores else platform.machine()
    return f"{len(cores) or '?'} × {model}, Python {platform.python_version()}"


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
