"""Whether what is in the log is being judged, and since when it is not. Pure.

A partition is well while its position moves: where nothing happens, ingest writes the time at least every second. So a
position that stands has one of three causes, and the detail says which: the rules do not follow the log, nobody writes
the log, or the log cannot be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

STANDS_S = 12.0
"""A position that stands so long is told: the rules report every five seconds, and people must know within thirty."""
_FIRST = 8  # of the partitions that stand, so many are named


class JudgedPartition(msgspec.Struct, frozen=True):
    """How far one partition is: the next position to judge and the log's end (positions), and when that was (epoch ms
    UTC, 0: not known).
    """

    position: int
    end: int
    at_ms: int = 0


class NothingJudged(msgspec.Struct, frozen=True):
    """Since when (epoch ms UTC, wall clock) something is not judged, and what stands in the way."""

    since_ms: int
    why: str

    @property
    def detail(self) -> str:
        """One line for operators."""
        since = datetime.fromtimestamp(self.since_ms / 1000, UTC).isoformat(timespec="seconds")
        return f"since {since.replace('+00:00', 'Z')}: {self.why}"


class _Standing(msgspec.Struct, frozen=True):
    """One partition as it was when it moved last; ``behind``: the log has gone on since."""

    position: int
    end: int
    moved_s: float
    moved_ms: int
    behind: bool = False


class JudgedWatch:
    """Compares looks at the partitions. Time comes in as arguments: ``now_s`` monotonic, ``now_ms`` the wall clock."""

    def __init__(self, now_s: float, now_ms: int) -> None:
        self._partitions: dict[int, _Standing] = {}
        self._asked_s, self._asked_ms = now_s, now_ms
        self._in_vain = "the log has not been asked yet"  # why the last look failed; empty when it did not

    def observe(self, partitions: Mapping[int, JudgedPartition], now_s: float, now_ms: int) -> None:
        """Take what a look has found of every partition; one that was never written stands still like any other."""
        self._asked_s, self._asked_ms, self._in_vain = now_s, now_ms, ""
        self._partitions = {
            number: self._compared(number, partition, now_s, now_ms) for number, partition in partitions.items()
        }

    def unasked(self, why: str) -> None:
        """Note that a look was in vain, and why."""
        self._in_vain = why

    def standing(self, now_s: float) -> NothingJudged | None:
        """Return what is not judged for :data:`STANDS_S` or longer; None while all is well."""
        still = {number: one for number, one in self._partitions.items() if now_s - one.moved_s >= STANDS_S}
        unasked = now_s - self._asked_s >= STANDS_S
        if not still and not unasked:
            return None
        if unasked or self._in_vain:
            since = [one.moved_ms for one in still.values()]
            return NothingJudged(min([self._asked_ms, *since]), self._in_vain or "the look at the log hangs")
        behind = sorted(number for number, one in still.items() if one.behind)
        cause = "the rules do not follow the log" if behind else "nothing comes from ingest"
        since_ms = min(one.moved_ms for one in still.values())
        return NothingJudged(since_ms, cause + self._which(behind or sorted(still)))

    def _compared(self, number: int, now: JudgedPartition, now_s: float, now_ms: int) -> _Standing:
        before = self._partitions.get(number)
        if before is None or before.position != now.position:
            moved_ms = now_ms if before is not None else now.at_ms or now_ms
            return _Standing(now.position, now.end, now_s, moved_ms, now.end > now.position)
        return msgspec.structs.replace(before, behind=now.end > now.position or now.end != before.end)

    def _which(self, numbers: list[int]) -> str:
        if len(self._partitions) == 1:
            return ""
        if len(numbers) == len(self._partitions):
            return f" (all {len(numbers)} partitions)"
        named = ", ".join(str(number) for number in numbers[:_FIRST])
        more = ", …" if len(numbers) > _FIRST else ""
        return f" ({len(numbers)} of {len(self._partitions)} partitions: {named}{more})"
