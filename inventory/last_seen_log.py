"""When each device was last heard, from a log: told by whoever writes it here, or by following it from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from contracts.batch import Batch, decode_batch, shift_of
from contracts.errors import LogBroken, Rejected
from inventory.last_seen import LastSeenTable
from streams.log.port import LogReader, LogRecord, LogWriter

LOOK_BACK_MS = 10 * 60_000
"""How far back a follower begins: most devices speak within it, and a day's log would take minutes to read."""
_READ_RECORDS = 500
_UNDER_WAY_MS = 60_000
_ROUND_S = 2.0
"""From one look into the logs to the next: a page shows minutes, and a look costs the same for one record or many."""


class LastSeenLog(LastSeenTable):
    """A :class:`streams.log.port.LogWriter` around another one: it wakes the driver, and hears what is written."""

    def __init__(self, log: LogWriter, on_append: Callable[[], None]) -> None:
        super().__init__()
        self._log = log
        self._on_append = on_append

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append, then tell whoever reads."""
        positions = self._log.append(batches)
        self._on_append()
        for batch in batches:
            self.hear(batch)
        return positions

    def last_watermark_ms(self) -> int:
        """See :class:`streams.log.port.LogWriter`."""
        return self._log.last_watermark_ms()

    def heard_through_ms(self) -> int:
        """Return up to which time of the log everything was heard; less a margin for what is being appended."""
        return max(self._log.last_watermark_ms() - _UNDER_WAY_MS, 0)


class LastSeenFollower(LastSeenTable):
    """Follows logs that somebody writes, from a time on. It judges nothing.

    Args:
        since_ms: the first time of the logs to be heard, epoch ms.
        table: what hears; without one it is the follower itself.
    """

    def __init__(self, logs: Sequence[LogReader], since_ms: int, table: LastSeenTable | None = None) -> None:
        super().__init__()
        self._table = table or self
        self._heard_ms: dict[int, int] = {}
        self._logs = logs
        self._since_ms = since_ms
        self._positions: dict[int, int] = {}

    def step(self) -> bool:
        """Hear what came since the last step, up to a bound a log; whether that bound was reached.

        Raises:
            Transient: a log is away.
        """
        return max(self._read(), default=0) == _READ_RECORDS

    def _read(self) -> list[int]:
        """Hear what came since the last time, up to a bound a log; how many records of each."""
        return [self._follow(number, log) for number, log in enumerate(self._logs)]

    def heard_through_ms(self) -> int:
        """Return up to which time of every log that holds anything all was heard."""
        held = [number for number, log in enumerate(self._logs) if log.begin() < log.end()]
        return min((self._heard_ms.get(number, self._since_ms) for number in held), default=self._since_ms)

    def catch_up(self) -> None:
        """Hear everything up to the ends that the logs have now. Raises as :meth:`step`.

        A read may end earlier, where a file of the log does.
        """
        ends = [log.end() for log in self._logs]
        while any(self._read()) and any(self._positions[number] < end for number, end in enumerate(ends)):
            pass

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``."""
        while not stop.is_set():
            if not self.step():
                stop.wait(_ROUND_S)

    def _follow(self, number: int, log: LogReader) -> int:
        try:
            if number not in self._positions:
                self._positions[number] = first_since(log, self._since_ms)
            records = log.read(self._positions[number], _READ_RECORDS)
        except LogBroken:  # retention was faster, or it is another log now; the engine is who raises an alarm
            self._positions[number] = log.begin()
            return 0
        for record in records:
            batch = _batch(record)
            if batch is not None:
                self._table.hear(batch)
                before_ms = 0 if shift_of(batch) else self._heard_ms.get(number, self._since_ms)
                self._heard_ms[number] = max(batch.watermark_ms, before_ms)
        self._positions[number] += len(records)
        return len(records)


def recall_from_ms(through_ms: int, newest_ms: int) -> int:
    """Return from which time of a log to hear it again, where what was kept is complete up to ``through_ms``.

    Nothing was kept (0), or on a time from which the log has gone back since: then as a follower without it begins.

    >>> recall_from_ms(1_700_000_000_000, 1_700_000_060_000), recall_from_ms(0, 1_700_000_000_000)
    (1700000000000, 1699999400000)
    """
    return through_ms if 0 < through_ms <= newest_ms else newest_ms - LOOK_BACK_MS


def first_since(log: LogReader, since_ms: int) -> int:
    """Return the first position whose watermark says ``since_ms`` or later, give or take records that say no time."""
    low, high = log.begin(), log.end()
    while low < high:
        middle = (low + high) // 2
        records = log.read(middle, 1)
        batch = _batch(records[0]) if records else None
        if batch is not None and batch.watermark_ms < since_ms:
            low = middle + 1
        else:
            high = middle
    return low


def _batch(record: LogRecord) -> Batch | None:
    try:
        return decode_batch(record.data)
    except Rejected:  # the engine says so, as a finding
        return None
