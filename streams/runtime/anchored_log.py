"""The log as a driver reads it: records that snapshots rest on are still there, and a damaged one is noted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container

from contracts.errors import LogBroken
from streams.log.port import LogReader, LogRecord, RecordDamaged

_BRING_BACK = (
    "Bring the log back as it was, or take the snapshots away to judge this log from its start; "
    "`linli docs operations` says how"
)


class AnchoredLog:
    """A partition's log. ``note_failure`` is told the position and the error of a damaged record.

    ``skipped``: positions that a person has given up. Nothing is asked of the records there.
    """

    def __init__(self, log: LogReader, note_failure: Callable[[int, str], object]) -> None:
        self._log = log
        self._note_failure = note_failure
        self.skipped: Container[int] = frozenset()

    def begin(self) -> int:
        """Return the first position still held."""
        return self._log.begin()

    def end(self) -> int:
        """Return the position the next record will get."""
        return self._log.end()

    def read(self, position: int, limit: int) -> list[LogRecord]:
        """Return as :meth:`streams.log.port.LogReader.read`; the position of a damaged record is noted."""
        try:
            return self._log.read(position, limit)
        except RecordDamaged as error:
            self._note_failure(error.position, str(error))
            raise

    def hash_at(self, position: int) -> bytes:
        """Return the hash of the record there, empty when there is none."""
        records = self.read(position, 1)
        return hash_of(records[0]) if records else b""

    def check_record(self, position: int, record_hash: bytes) -> None:
        """Raise unless the record at ``position``, if it is still held, is the one with this hash (empty: any).

        Raises:
            LogBroken: another record is there.
        """
        if not record_hash or position < self._log.begin() or position in self.skipped:
            return
        if self.hash_at(position) != record_hash:
            raise LogBroken(
                f"log_replaced: position {position} is not the record that snapshots rest on. {_BRING_BACK}"
            )

    def check_end(self, end: int, position: int) -> None:
        """Raise unless the log reaches ``position``.

        Raises:
            LogBroken: its ``end`` lies before.
        """
        if end < position:
            raise LogBroken(
                f"log_replaced: the log ends at position {end}, but {position} was reached before. {_BRING_BACK}"
            )


def hash_of(record: LogRecord) -> bytes:
    """Return what tells a record from another one at the same position."""
    return hashlib.blake2b(record.data, digest_size=16).digest()
