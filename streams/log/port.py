"""The log as a port: batches in, records out, positions contiguous. One writer, any number of readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from contracts.batch import Batch
from contracts.errors import LogBroken


class RecordDamaged(LogBroken):
    """The record at ``position`` is not what was written. The message names the file and the way out."""

    def __init__(self, detail: str, position: int) -> None:
        super().__init__(detail)
        self.position = position


class LogRecord(msgspec.Struct, frozen=True):
    """One record as it lies in the log; ``data`` is an encoded :class:`contracts.batch.Batch`.

    ``at_ms`` is the wall time it was written (0: not known). It is for latencies and traces only: rules never see it.
    """

    position: int
    data: bytes
    at_ms: int = 0


class LogWriter(Protocol):
    """The one writer of a partition."""

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append ``batches`` in order; their positions. Durable on return: on disk, or on every Kafka copy in sync.

        Raises:
            Transient: the store is full, busy or away. Some of the batches may have been kept; append the same ones
                again, nothing else of their partitions before them. What is then there twice the engine drops.
        """
        ...

    def last_watermark_ms(self) -> int:
        """Return the newest watermark, 0 when the log is empty. Earlier ones are higher where the clock went back."""
        ...


class LogReader(Protocol):
    """A partition's records by position."""

    def identity(self) -> str:
        """Return what tells this log from another one of the same name."""
        ...

    def begin(self) -> int:
        """Return the first position still held (= ``end()`` when nothing is)."""
        ...

    def end(self) -> int:
        """Return the position the next record will get."""
        ...

    def read(self, position: int, limit: int) -> list[LogRecord]:
        """Return at most ``limit`` records from ``position`` on, contiguous; empty at the end.

        Raises:
            LogBroken: when ``position`` lies before ``begin()`` or records in between are missing.
            RecordDamaged: the record at ``position`` is; those before a damaged one are returned alone.
        """
        ...
