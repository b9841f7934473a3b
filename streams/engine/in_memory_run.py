"""Findings of a file's events in memory: the engine over :mod:`streams.engine.batching`, without a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from contracts.batch import MAX_BATCH_EVENTS
from contracts.events import AnyEvent
from contracts.findings import Output
from detectors.core.rule import Rule
from streams.engine.batching import batches_of
from streams.engine.engine import Engine


def run_file(
    events: Iterable[AnyEvent], rules: Sequence[Rule[Any]], *, partitions: int = 1, max_events: int = MAX_BATCH_EVENTS
) -> Iterator[Output]:
    """Yield the outputs of ``events``, given in order of acceptance with ``received_ms`` set.

    They come a slice at a time, by site within a slice, and as decided within a site: so their order, like all of them
    but ``position`` and ``number``, depends neither on the number of partitions nor on the sizes of batches.
    """
    engines = [
        Engine(rules, partition=partition, partitions=partitions, log_id="file") for partition in range(partitions)
    ]
    decided: list[Output] = []
    for batch in batches_of(events, partitions, max_events=max_events):
        engine = engines[batch.partition]
        decided += engine.feed(batch, engine.next_position)
        if batch.watermark_ms and batch.partition == partitions - 1:  # every partition has ended the slice
            yield from sorted(decided, key=_site_of)
            decided.clear()


def _site_of(output: Output) -> str:
    return output.site_id
