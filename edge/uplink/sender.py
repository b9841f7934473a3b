"""What goes out next: both lanes in order, a bounded window each, resent from the first unacknowledged row.

A machine without I/O but its spool: ``connected`` and ``got`` tell it what happened, ``due`` gives what to send.
Within a connection the broker keeps order; a row after a gap (rows that quota dropped) waits until everything before
the gap is acknowledged: so a receiver's high-water mark per lane never skips a row that is still held.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.events import Lane
from edge.spool.lanes import RowTokenBucket
from edge.spool.spool import NumberedRow, Spool

WINDOW_ROWS = {Lane.LIVE: 64, Lane.BACKLOG: 64}
RESEND_AFTER_MS = (5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000)
HINT_AFTER_MS = 1_000  # an answer that tells nothing new, so long after sending, says that rows are missing


class Acknowledgement(msgspec.Struct, frozen=True):
    """The platform's answer on ``…/got``: everything of a lane through ``through_seq`` is in the log."""

    spool_id: str
    lane: Lane
    through_seq: int


class _LaneState(msgspec.Struct):
    acknowledged: int = 0  # through this number
    sent: int = 0  # through this number, on this connection
    waiting_since_ms: int = 0  # of the first unacknowledged row
    resends: int = 0


class SpoolSender:
    """Decides what to send.

    Args:
        spool: where rows come from.
        backlog_rows_per_s: the pace of the backlog lane.
    """

    def __init__(self, spool: Spool, *, backlog_rows_per_s: float = 200.0) -> None:
        self._spool, self._pace = spool, RowTokenBucket(backlog_rows_per_s)
        self._lanes = {lane: _LaneState() for lane in Lane}
        self._of = ""
        self.ignored_acknowledgements = 0

    def connected(self) -> None:
        """Begin each lane again at its first unacknowledged row: the connection is new."""
        for state in self._lanes.values():
            state.sent, state.resends = state.acknowledged, 0

    def due(self, now_ms: int) -> list[bytes]:
        """Return messages to send now, live before backlog, each lane in order."""
        self._spool.follow_clock()
        self._spool.take_name()
        if self._of != self._spool.spool_id:  # a new spool counts anew
            self._of, self._lanes = self._spool.spool_id, {lane: _LaneState() for lane in Lane}
        return [message for lane in (Lane.LIVE, Lane.BACKLOG) for message in self._lane_due(lane, now_ms)]

    def got(self, message: Acknowledgement, now_ms: int) -> int:
        """Take an acknowledgement; returns how many rows left the spool.

        Another spool's is counted and ignored, and so is one of rows that were never numbered: it proves that the spool
        was put back to an earlier state.
        """
        state = self._lanes[message.lane]
        if message.spool_id != self._spool.spool_id or message.through_seq > self._spool.numbered(message.lane):
            self.ignored_acknowledgements += 1
            if message.spool_id == self._spool.spool_id:
                self._spool.went_back()
            return 0
        deleted = self._spool.got(message.lane, message.through_seq, now_ms)
        if message.through_seq > state.acknowledged:
            state.acknowledged, state.waiting_since_ms, state.resends = message.through_seq, now_ms, 0
            state.sent = max(state.sent, state.acknowledged)
        elif message.through_seq == state.acknowledged and now_ms - state.waiting_since_ms >= HINT_AFTER_MS:
            state.sent, state.waiting_since_ms = state.acknowledged, now_ms
        return deleted

    def _lane_due(self, lane: Lane, now_ms: int) -> list[bytes]:
        state = self._lanes[lane]
        self._resend_if_unanswered(state, now_ms)
        room = WINDOW_ROWS[lane] - (state.sent - state.acknowledged)
        if lane is Lane.BACKLOG:
            room = min(room, self._pace.allowance(now_ms))
        if room <= 0:
            return []
        rows = self._spool.rows(lane, state.sent, room)
        if len(rows) < room and self._spool.number(lane, now_ms, room - len(rows)):
            rows = self._spool.rows(lane, state.sent, room)
        rows = sendable(rows, state.sent, in_flight=state.sent > state.acknowledged)
        if rows:
            self._note_sent(state, rows[0].seq, rows[-1].seq, now_ms)
        if lane is Lane.BACKLOG:
            self._pace.spend(len(rows))
        first_seq = self._spool.first(lane)
        return [self._spool.message(lane, row, first_seq, now_ms) for row in rows]

    def _note_sent(self, state: _LaneState, first_seq: int, last_seq: int, now_ms: int) -> None:
        if state.sent <= state.acknowledged:  # nothing was in flight
            state.waiting_since_ms = now_ms
            state.acknowledged = max(state.acknowledged, first_seq - 1)  # rows before it have left the spool
        state.sent = last_seq

    def _resend_if_unanswered(self, state: _LaneState, now_ms: int) -> None:
        """Begin the lane again, ever more patiently: the platform restarted and forgot, or its answer was lost."""
        state.waiting_since_ms = min(state.waiting_since_ms, now_ms)  # the clock was set back
        patience_ms = RESEND_AFTER_MS[min(state.resends, len(RESEND_AFTER_MS) - 1)]
        if state.sent > state.acknowledged and now_ms - state.waiting_since_ms > patience_ms:
            state.sent, state.waiting_since_ms = state.acknowledged, now_ms
            state.resends += 1


def sendable(rows: Sequence[NumberedRow], sent: int, *, in_flight: bool) -> list[NumberedRow]:
    """Return the rows that may go now: without a gap among them, and without one before them while rows are in flight.

    >>> rows = [NumberedRow(3, 0, b""), NumberedRow(4, 0, b""), NumberedRow(7, 0, b"")]
    >>> [row.seq for row in sendable(rows, 2, in_flight=True)], sendable(rows, 1, in_flight=True)
    ([3, 4], [])
    """
    if not rows or (in_flight and rows[0].seq != sent + 1):
        return []
    return [row for n, row in enumerate(rows) if row.seq == rows[0].seq + n]
