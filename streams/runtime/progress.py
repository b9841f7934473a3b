"""How far a worker is, and whether it is stuck. Liveness is progress, not a process. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

SILENT_S = 30.0
"""A worker that says nothing for so long hangs or was stopped; being paused for 20 s is no reason to lose it."""
STUCK_S = 30.0
"""A position that stands so long though the log is ahead of it."""
HOMELESS_S = 60.0
"""A worker outside its group for so long: joining takes a session's time and a rebalance, 7-18 s."""


class PartitionProgress(msgspec.Struct, frozen=True):
    """One partition: the next position to feed and the log's end as last seen (-1: not seen yet).

    ``stopped`` says why it is not fed: a person has to decide. ``queued``: it waits for a thread to open it.
    """

    position: int
    end: int
    watermark_ms: int = 0
    stopped: str = ""
    queued: bool = False

    @property
    def lag(self) -> int:
        """Records of the log not fed yet."""
        return max(0, self.end - self.position)


class WorkerProgress(msgspec.Struct, frozen=True):
    """A worker's report of every second. ``member``: it has its assignment, which may be empty."""

    member: bool
    partitions: Mapping[int, PartitionProgress] = {}
    waits_for: str = ""  # what does not answer, so that no progress can be expected


class Stuck(msgspec.Struct, frozen=True):
    """Why a worker must be replaced; ``partition`` when it is one partition's fault."""

    why: str
    partition: int | None = None


class LastMoves:
    """Remembers when each partition's position was seen to move last."""

    def __init__(self) -> None:
        self._moves: dict[int, tuple[int, int]] = {}

    def of(self, progress: Mapping[int, PartitionProgress], now_ms: int) -> Mapping[int, tuple[int, int]]:
        """Return partition → (position, epoch ms UTC of its last move) of those that are open."""
        moves: dict[int, tuple[int, int]] = {}
        for number, partition in progress.items():
            if not partition.queued:
                known = self._moves.get(number)
                stands = known is not None and known[0] == partition.position
                moves[number] = known if known and stands else (partition.position, now_ms)
        self._moves = moves
        return moves


class Watchdog:
    """Judges the reports of one worker, from its start on. Time comes in as an argument."""

    def __init__(self, now_s: float) -> None:
        self._heard_s = self._member_s = now_s
        self._moved: dict[int, tuple[int, float]] = {}

    def observe(self, report: WorkerProgress, now_s: float) -> None:
        """Take a report."""
        self._heard_s = now_s
        if report.member or report.waits_for:
            self._member_s = now_s
        moved: dict[int, tuple[int, float]] = {}
        for number, partition in report.partitions.items():
            position, since_s = self._moved.get(number, (-1, now_s))
            excused = not partition.lag or partition.stopped or partition.queued or report.waits_for
            moved[number] = (partition.position, now_s if excused or partition.position != position else since_s)
        self._moved = moved

    def check(self, now_s: float) -> Stuck | None:
        """Return why the worker is stuck; None while it is not."""
        if now_s - self._heard_s > SILENT_S:
            return Stuck(f"it has said nothing for {now_s - self._heard_s:.0f} s")
        if now_s - self._member_s > HOMELESS_S:
            return Stuck(f"it has had no part in its group for {now_s - self._member_s:.0f} s")
        for number, (position, since_s) in sorted(self._moved.items()):
            if now_s - since_s > STUCK_S:
                return Stuck(
                    f"partition {number} stands at position {position} for {now_s - since_s:.0f} s, the log is ahead",
                    number,
                )
        return None


def encode_progress(report: WorkerProgress) -> bytes:
    """Return one line."""
    return msgspec.json.encode(report) + b"\n"


def decode_progress(line: bytes) -> WorkerProgress:
    """Return what :func:`encode_progress` gave."""
    return msgspec.json.decode(line, type=WorkerProgress)
