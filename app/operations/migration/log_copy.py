"""Batches into a new log, so that it can be broken off anywhere and begun again.

What is written is a function of the old log alone. So the new log itself says how far an earlier attempt came: it must
hold the beginning of what would be written, record by record; the rest is appended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from app.operations.migration.records import READ_RECORDS, records_of
from contracts.batch import Batch, encode_batch
from contracts.errors import ConfigurationError, LogBroken
from streams.log.port import LogReader, LogWriter

APPEND_BATCHES = 500


class PartitionCopy(msgspec.Struct):
    """A partition's copy in the new log: how many records, and a digest over all of them."""

    records: int = 0
    digest: bytes = b""

    def add(self, data: bytes) -> None:
        """Add one more record."""
        self.records += 1
        self.digest = hashlib.blake2b(self.digest + data, digest_size=16).digest()


class CopyTarget(msgspec.Struct, frozen=True):
    """The new log."""

    partitions: int
    reader: Callable[[int], LogReader]
    writer: LogWriter


def copy_log(
    batches: Iterable[Batch], target: CopyTarget, on_progress: Callable[[int], None] = lambda _records: None
) -> dict[int, PartitionCopy]:
    """Append what ``target`` lacks of ``batches``, and read everything back; what each partition holds of them.

    Raises:
        ConfigurationError: the target holds something else: it is another log, or was written to by somebody else.
        LogBroken: what was read back is not what was written.
        Transient: the target does not answer; start again, it goes on where it was.
    """
    there = {p: _Held(target.reader(p)) for p in range(target.partitions)}
    wanted: dict[int, PartitionCopy] = {}
    waiting: list[Batch] = []
    for done, batch in enumerate(batches, start=1):
        data = encode_batch(batch)
        if there[batch.partition].left:
            there[batch.partition].check(data)
        else:
            waiting.append(batch)
        wanted.setdefault(batch.partition, PartitionCopy()).add(data)
        if len(waiting) >= APPEND_BATCHES:
            target.writer.append(waiting)
            waiting.clear()
            on_progress(done)
    if any(held.left for p, held in there.items() if p not in wanted):
        raise ConfigurationError(_foreign("partitions that this log has no sites for"))
    if waiting:
        target.writer.append(waiting)
    for partition, copy in wanted.items():
        if _read_back(target.reader(partition), copy.records) != copy:
            raise LogBroken(f"partition {partition}: what was read back is not what was written; see to the brokers")
    return wanted


class _Held:
    """A partition's content when the copying began, read in order to be compared."""

    def __init__(self, log: LogReader) -> None:
        if log.begin():
            raise ConfigurationError(_foreign(f"a log that begins at position {log.begin()}"))
        self.left = log.end()
        self._log, self._position = log, 0
        self._records: list[bytes] = []

    def check(self, data: bytes) -> None:
        """Raise unless the next record is this one."""
        if not self._records:
            found = self._log.read(self._position, min(READ_RECORDS, self.left))
            self._records = [record.data for record in reversed(found)]
        if self._records.pop() != data:
            raise ConfigurationError(_foreign(f"another record at position {self._position}"))
        self._position += 1
        self.left -= 1


def _foreign(what: str) -> str:
    return (
        f"the new log holds {what}: it is not a copy of this one that was begun earlier. Migrate into topics that "
        "nothing was written to (`linli topics create` under another kafka.prefix), while the district stands still"
    )


def _read_back(log: LogReader, records: int) -> PartitionCopy:
    copy = PartitionCopy()
    for record in records_of(log, records):
        copy.add(record.data)
    return copy
