"""What processes cost: their processor time, with that of what they started, and the most memory one of them held."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import psutil


class Processes:
    """Some processes by name.

    Args:
        roots: name → process id; what a process started counts under its name.
    """

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = {name: psutil.Process(pid) for name, pid in roots.items()}
        self.peak_mb = dict.fromkeys(roots, 0.0)

    def cpu_s(self) -> dict[str, float]:
        """Return seconds of processor time so far."""
        return {name: sum(_cpu_s(each) for each in _tree(root)) for name, root in self._roots.items()}

    def look(self) -> None:
        """Take note of the memory that the largest process under each name holds now."""
        for name, root in self._roots.items():
            self.peak_mb[name] = max(self.peak_mb[name], *(_memory_mb(each) for each in _tree(root)), 0.0)


def _tree(root: psutil.Process) -> Iterator[psutil.Process]:
    yield root
    with contextlib.suppress(psutil.NoSuchProcess):
        yield from root.children(recursive=True)


def _cpu_s(process: psutil.Process) -> float:
    """Return its own, and that of children which have ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _memory_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0
