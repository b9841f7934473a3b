"""The application acknowledgement to boxes: how far each lane is durable, and what is still to be told. Pure."""

from __future__ import annotations

import msgspec

from contracts.events import Lane
from contracts.names import Channel, DeviceClass, Topic
from ingest.pipeline.bounded import LruDict
from ingest.pipeline.lane_guard import MAX_LANES, LaneKey

REPEAT_MS = 1_000
"""A box that is missing rows hears the same answer at most once a second."""


class SpoolAck(msgspec.Struct, frozen=True):
    """The payload on ``…/edge/{box}/got``."""

    spool_id: str
    lane: Lane
    through_seq: int


class _Through(msgspec.Struct):
    seq: int = -1
    repeated_ms: int = -REPEAT_MS


class SpoolAckTracker:
    """Durable rows per lane; what changed is told once, after a reconnect what could not be told before."""

    def __init__(self) -> None:
        self._through: LruDict[LaneKey, _Through] = LruDict(MAX_LANES, _Through)
        self._untold: dict[LaneKey, int] = {}

    def durable(self, key: LaneKey, seq: int) -> None:
        """Note that row ``seq`` of a lane is in the log, or refused, and so is everything taken before it."""
        through = self._through[key]
        through.seq = max(through.seq, seq)
        self._untold[key] = through.seq

    def repeat(self, key: LaneKey, now_ms: int) -> None:
        """Tell a box again how far its lane is: the lane misses rows."""
        through = self._through[key]
        if through.seq >= 0 and now_ms - through.repeated_ms >= REPEAT_MS:
            through.repeated_ms = now_ms
            self._untold[key] = through.seq

    def take(self) -> list[tuple[str, bytes]]:
        """Return (topic, payload) of everything to be told; call it only while connected."""
        messages = [
            (
                str(Topic(key.site_id, DeviceClass.EDGE, key.box_id, Channel.GOT)),
                msgspec.json.encode(SpoolAck(key.spool_id, key.lane, seq)),
            )
            for key, seq in self._untold.items()
        ]
        self._untold.clear()
        return messages
