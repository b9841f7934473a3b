"""The one thread that appends to the log: takes cuts, makes them durable, reports them. Tries again forever."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import msgspec
import structlog

from contracts.batch import Batch
from contracts.errors import Transient
from ingest.counters import Counters
from streams.log.port import LogWriter
from system.clock import wall_ms

RETRY_MIN_S = 0.1
RETRY_MAX_S = 5.0
_log = structlog.get_logger("ingest.shard.writer")


class BatchesAppended(msgspec.Struct, frozen=True):
    """The writer reports to the shard: these batches are on disk."""

    batches: Sequence[Batch]


class AppendFailed(msgspec.Struct, frozen=True):
    """The writer reports to the shard: it has ended."""

    error: Exception


class Appender:
    """Appends groups of batches in a thread of its own.

    Args:
        log: the log; only this thread calls it.
        on_durable: called in that thread with each group, after its append returned.
        on_failure: called in that thread once with an error that trying again cannot fix; the thread then ends.
        counters: the shard's.
    """

    def __init__(
        self,
        log: LogWriter,
        on_durable: Callable[[Sequence[Batch]], None],
        on_failure: Callable[[Exception], None],
        counters: Counters,
    ) -> None:
        self._log, self._counters = log, counters
        self._on_durable, self._on_failure = on_durable, on_failure
        self._groups: queue.SimpleQueue[Sequence[Batch] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="linli-log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, batches: Sequence[Batch]) -> None:
        """Append these, in order, after what was submitted before."""
        self._groups.put(batches)

    def stop(self, timeout_s: float) -> bool:
        """Finish what was submitted and end; whether it did within ``timeout_s``."""
        self._groups.put(None)
        self._thread.join(timeout_s)
        self._stopping.set()
        self._thread.join(RETRY_MAX_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (group := self._groups.get()) is not None:
                if not self._append(group):
                    return
                self._on_durable(group)
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: the shard ends with this error
            self._on_failure(error)

    def _append(self, group: Sequence[Batch]) -> bool:
        wait_s = RETRY_MIN_S
        while not self._stopping.is_set():
            try:
                with self._counters.append_s.time():
                    self._log.append(group)
            except Transient as error:
                self._counters.append_failures.inc()
                _log.warning("append failed, trying again", error=str(error), wait_s=wait_s)
                self._stopping.wait(error.retry_after_s or wait_s)
                wait_s = min(wait_s * 2, RETRY_MAX_S)
                continue
            self._counters.durable(group, wall_ms())
            return True
        return False
