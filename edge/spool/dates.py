"""The dates of rows: what was written since the machine started is dated anew when its clock is set.

A box without a battery starts in 1970, or where it was switched off, and has its first falls before it asks anybody for
the time. How long ago they were, it knows all the same.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import deque
from collections.abc import Sequence
from typing import TypeVar

import msgspec
import structlog

from contracts.event_times import other_times
from contracts.events import DeviceEvent, Event
from edge.spool.box_clock import STEP_MS, BoxClock
from edge.spool.entry_sums import CLOCK_SUM

ROWS_AT_ONCE = 2_000
FRESH_MS = 60_000
"""What is added was seen within the last minute: by the clock as it is, or as it was before it was set."""
STEPS, STEPS_MS = 8, 600_000
"""So many steps of the clock are remembered, each for so long: what was seen before it may still be added."""
E = TypeVar("E", bound=Event)
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(DeviceEvent)
_log = structlog.get_logger("edge.spool.dates")


class RowDates:
    """Keeps the dates of a file's rows on the box's clock, however that is set."""

    def __init__(self, clock: BoxClock) -> None:
        self._clock = clock
        self._offset_ms: int | None = None
        self._steps: deque[tuple[int, int, int]] = deque(maxlen=STEPS)  # (since boot, by how much, to which offset)

    def are_right(self) -> bool:
        """Return whether the clock is still the one by which the rows are dated."""
        return self._offset_ms is not None and abs(self._clock.offset_ms() - self._offset_ms) < STEP_MS

    def follow(self, connection: sqlite3.Connection) -> None:
        """Date the rows of this start anew, in a transaction."""
        self._offset_ms = self._clock.offset_ms()
        by_ms = follow(connection, self._clock.boot_id, self._offset_ms)
        if by_ms and (not self._steps or abs(self._steps[-1][2] - self._offset_ms) >= STEP_MS):  # not tried before
            self._steps.append((self._clock.since_boot_ms(), by_ms, self._offset_ms))
            _log.warning("the clock was set, rows are dated anew", by_ms=by_ms)

    def undone(self) -> None:
        """Take that the transaction did not end well: which dates the rows have is to be read again."""
        self._offset_ms = None

    def dated(self, event: E) -> E:
        """Return an event by the clock as it is now."""
        begun_ms = self._clock.since_boot_ms() - STEPS_MS
        return dated(event, self._clock.now_ms(), [by_ms for at_ms, by_ms, _ in self._steps if at_ms >= begun_ms])


def follow(connection: sqlite3.Connection, boot_id: str, offset_ms: int) -> int:
    """Move the rows of this start of the machine by what its clock was set by; return that, ms.

    Rows of earlier starts stay as they are: how long the machine was off, nobody knows.
    """
    known = connection.execute(f"SELECT offset_ms, from_n FROM clock WHERE boot = ? AND sum IS {CLOCK_SUM}", (boot_id,))
    found = known.fetchone()
    if found is None:
        (last_n,) = connection.execute("SELECT last_n FROM spool").fetchone()
        connection.execute("DELETE FROM clock")
        connection.execute("INSERT INTO clock VALUES (?, ?, ?, 0)", (boot_id, offset_ms, last_n + 1))
        connection.execute(f"UPDATE clock SET sum = {CLOCK_SUM}")
        return 0
    by_ms = offset_ms - int(found[0])
    if abs(by_ms) < STEP_MS:
        return 0
    _move_rows(connection, int(found[1]), by_ms)
    connection.execute("UPDATE clock SET offset_ms = ?", (offset_ms,))
    connection.execute(f"UPDATE clock SET sum = {CLOCK_SUM}")
    return by_ms


def row_sum(n: int, at_ms: int, body: bytes) -> int:
    """Return the checksum of a row: a disk that changes a byte of it is found out before the row is sent."""
    return zlib.crc32(body, zlib.crc32(f"{n} {at_ms}".encode()))


def moved(event: E, by_ms: int) -> E:
    """Return the event with all that the box's clock told moved by ``by_ms``, never below 0."""
    times = {name: max(getattr(event, name) + by_ms, 0) for name in ("at_ms", *other_times(event))}
    return msgspec.structs.replace(event, **times)


def dated(event: E, now_ms: int, steps: Sequence[int]) -> E:
    """Return an event that is only now written, by the clock as it is: it may have been seen before the clock was set.

    Args:
        now_ms: epoch ms.
        steps: by how much the clock was set lately, the last one last.
    """
    if abs(now_ms - event.at_ms) <= FRESH_MS:
        return event
    by_ms = 0
    for step_ms in reversed(steps):
        by_ms += step_ms
        if abs(now_ms - event.at_ms - by_ms) <= FRESH_MS:
            return moved(event, by_ms)
    return event


def _move_rows(connection: sqlite3.Connection, from_n: int, by_ms: int) -> None:
    while True:
        rows = connection.execute(
            "SELECT n, at_ms, body, sum FROM row WHERE n >= ? ORDER BY n LIMIT ?", (from_n, ROWS_AT_ONCE)
        ).fetchall()
        if not rows:
            return
        from_n = rows[-1][0] + 1
        changed = [_moved_row(n, body, by_ms) for n, at_ms, body, kept in rows if kept == row_sum(n, at_ms, body)]
        connection.executemany("UPDATE row SET at_ms = ?, body = ?, sum = ? WHERE n = ?", changed)


def _moved_row(n: int, body: bytes, by_ms: int) -> tuple[int, bytes, int, int]:
    event = moved(_DECODER.decode(body), by_ms)
    text = _ENCODER.encode(event)
    return event.at_ms, text, row_sum(n, event.at_ms, text), n
