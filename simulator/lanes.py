"""What a simulated box still holds: rows sent and not yet acknowledged by ingest, per lane, in order."""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from contracts.events import AnyEvent, Lane
from contracts.names import Topic
from simulator.topics import SpoolAckReceived

RESENT_AT_ONCE = 500
"""So many of a lane's rows are sent again at a time: a long wait for ingest must not fill the broker."""

Row = tuple[Topic, AnyEvent]
LaneKey = tuple[str, str, str, Lane]
"""Site, box, spool, lane: a box's name is its site's own."""


class UnackedLane:
    """One lane of one box's spool; ``moved_s`` is when it last got a new row or an acknowledgement."""

    def __init__(self) -> None:
        self.rows: deque[tuple[int, Row]] = deque()
        self.highest = 0
        self.moved_s = 0.0


class UnackedRows:
    """The lanes of all simulated boxes. Not thread-safe; its owner locks."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, UnackedLane] = {}

    def __len__(self) -> int:
        return sum(len(lane.rows) for lane in self._lanes.values())

    def hold(self, topic: Topic, event: AnyEvent, now_s: float) -> AnyEvent:
        """Keep a box's row until it is acknowledged; returns it as it is sent, naming the oldest row still held.

        A row that was held before (a resend that the file scripts) is only sent.
        """
        assert event.spool is not None
        spool = event.spool
        lane = self._lanes.setdefault((event.site_id, spool.box_id, spool.spool_id, spool.lane), UnackedLane())
        if event.spool.seq > lane.highest:
            lane.highest = event.spool.seq
            if not lane.rows:
                lane.moved_s = now_s
            lane.rows.append((event.spool.seq, (topic, event)))
        return _naming_first(event, lane.rows[0][0] if lane.rows else event.spool.seq)

    def forget(self, got: SpoolAckReceived, now_s: float) -> None:
        """Drop what ingest has made durable."""
        lane = self._lanes.get((got.site_id, got.box_id, got.spool_id, got.lane))
        while lane is not None and lane.rows and lane.rows[0][0] <= got.through_seq:
            lane.rows.popleft()
            lane.moved_s = now_s

    def again(self, now_s: float, waited_s: float) -> list[Row]:
        """Return the first rows, from the unacknowledged one on, of every lane that has not moved for ``waited_s``."""
        rows: list[Row] = []
        for lane in self._lanes.values():
            if lane.rows and now_s - lane.moved_s >= waited_s:
                first = lane.rows[0][0]
                rows += [
                    (topic, _naming_first(event, first)) for _, (topic, event) in islice(lane.rows, RESENT_AT_ONCE)
                ]
                lane.moved_s = now_s
        return rows


def _naming_first(event: AnyEvent, first: int) -> AnyEvent:
    assert event.spool is not None
    mark = msgspec.structs.replace(event.spool, first=min(first, event.spool.seq))
    return msgspec.structs.replace(event, spool=mark)
