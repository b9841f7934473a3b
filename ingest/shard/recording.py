"""A log in memory, for tests and benchmarks: records what was appended, may be slow or refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from contracts.batch import Batch, newest_watermark_ms
from contracts.errors import Transient
from contracts.events import AnyEvent


class RecordingLog:
    """A :class:`streams.log.port.LogWriter` that keeps everything.

    Args:
        delay_s: how long an append takes.
        last_ms: the watermark it begins with.
    """

    def __init__(self, delay_s: float = 0.0, last_ms: int = 0) -> None:
        self.batches: list[Batch] = []
        self.calls = 0
        self.refusals = 0
        """How many of the next appends are refused as ``Transient``."""
        self._delay_s, self._last_ms = delay_s, last_ms
        self._grown = threading.Condition()

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Keep them; see :class:`streams.log.port.LogWriter`."""
        time.sleep(self._delay_s)  # the slow disk that this log pretends to have
        with self._grown:
            self.calls += 1
            if self.refusals > 0:
                self.refusals -= 1
                raise Transient("the recording log was told to refuse", retry_after_s=0.01)
            start = len(self.batches)
            self.batches.extend(batches)
            self._last_ms = newest_watermark_ms(batches) or self._last_ms
            self._grown.notify_all()
            return list(range(start, len(self.batches)))

    def last_watermark_ms(self) -> int:
        """Return the newest watermark so far."""
        return self._last_ms

    def events(self) -> list[AnyEvent]:
        """Return everything appended, in order."""
        with self._grown:
            return [event for batch in self.batches for event in batch.events]

    def wait_for(self, count: int, timeout_s: float, kind: type = object) -> bool:
        """Wait until ``count`` events of ``kind`` are in; whether they came."""

        def enough() -> bool:
            return sum(isinstance(e, kind) for b in self.batches for e in b.events) >= count

        with self._grown:
            return self._grown.wait_for(enough, timeout_s)
