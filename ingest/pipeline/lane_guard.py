"""Whether a box's row continues its lane. Pure.

A row can vanish between box and ingest although the box saw a PUBACK: a broker that was killed, or one that nobody had
subscribed to yet. The engine keeps one high-water mark per lane, so a row taken out of turn would bury those before it.
Hence a row is taken only when everything before it is either taken or no longer held by the box (``SpoolMark.first``).
A box that does not say ``first`` is trusted.
"""

from __future__ import annotations

import msgspec

from contracts.events import Lane, SpoolMark
from ingest.pipeline.bounded import LruDict

MAX_LANES = 10_000


class LaneKey(msgspec.Struct, frozen=True):
    """One lane of one spool of one box."""

    site_id: str
    box_id: str
    spool_id: str
    lane: Lane


class _Taken(msgspec.Struct):
    through_seq: int = -1


class LaneGuard:
    """The highest row taken per lane, since this process started. Forgetting one costs a resend, never a row."""

    def __init__(self) -> None:
        self._lanes: LruDict[LaneKey, _Taken] = LruDict(MAX_LANES, _Taken)

    def take(self, key: LaneKey, mark: SpoolMark) -> bool:
        """Take the row, if it continues its lane or repeats it; False when rows before it are missing."""
        lane = self._lanes[key]
        before = max(lane.through_seq, mark.first - 1) if mark.first is not None else mark.seq - 1
        if mark.seq - 1 > before:
            return False
        lane.through_seq = max(lane.through_seq, mark.seq)
        return True


def lane_key(site_id: str, mark: SpoolMark) -> LaneKey:
    """Return the lane that a row belongs to."""
    return LaneKey(site_id, mark.box_id, mark.spool_id, mark.lane)
