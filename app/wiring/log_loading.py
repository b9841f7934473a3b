"""Writes a file of events into a log as a shard would, with the file's own time (docs/protocol.md#batches)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from contracts.batch import Batch
from contracts.events import AnyEvent
from streams.engine.batching import batches_of

GROUP_BATCHES = 128
"""Batches made durable together: one fsync for twenty minutes of a quiet file."""


class Appends(Protocol):
    """Where batches go: a :class:`streams.log.port.LogWriter`, or one that is asked to finish at the end."""

    def append(self, batches: Sequence[Batch]) -> object:
        """Append in order."""
        ...


def load_events(
    log: Appends,
    events: Iterable[AnyEvent],
    *,
    partitions: int = 1,
    rate_per_s: float | None = None,
    on_progress: Callable[[int], None] = lambda _events: None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Append ``events`` (in order of acceptance) slice by slice; how many there were. As durable as ``log.append``.

    ``rate_per_s`` holds the average back to so many events a second; ``on_progress`` hears the count after each append.
    """
    done = 0
    started_s = time.monotonic()
    for group in _grouped(batches_of(events, partitions), 1 if rate_per_s else GROUP_BATCHES):
        log.append(group)
        done += sum(len(batch.events) for batch in group)
        on_progress(done)
        if rate_per_s:
            sleep(max(0.0, started_s + done / rate_per_s - time.monotonic()))
    return done


def _grouped(batches: Iterator[Batch], most: int) -> Iterator[list[Batch]]:
    while group := list(itertools.islice(batches, most)):
        yield group
