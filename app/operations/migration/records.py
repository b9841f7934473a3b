"""A partition's records from its beginning to its end, read a few at a time."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.errors import LogBroken
from streams.log.port import LogReader, LogRecord

READ_RECORDS = 256


def records_of(log: LogReader, end: int | None = None) -> Iterator[LogRecord]:
    """Yield every record there is now, or those before position ``end``.

    Raises:
        LogBroken: the log ends earlier.
    """
    position, end = log.begin(), log.end() if end is None else end
    while position < end:
        found = log.read(position, min(READ_RECORDS, end - position))
        if not found:
            raise LogBroken(f"the log ends at position {position}, expected {end}")
        yield from found
        position += len(found)
