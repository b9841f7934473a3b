"""How messages come into the log: jitter within the bounds, batches of any size, appends that are retried. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from contracts.batch import Batch
from contracts.events import AnyEvent, ConfigurationRecord, Event, IngestInterrupted
from contracts.names import partition_of
from detectors.registry import all_rules
from tests.detectors.builders import HOUR

QUIET_MS = 30 * HOUR
"""After its last event a log goes on for so long: every deadline has come by then, but for what is only forgotten."""


def latitude_ms(event: Event) -> int:
    """Return how long after it happened the event may arrive without any rule's missing it."""
    if isinstance(event, ConfigurationRecord | IngestInterrupted):
        return 0
    bounds = [rule.max_out_of_orderness_ms for rule in all_rules() if isinstance(event, rule.accepts)]
    return max(0, min(bounds, default=0) - 1)


def arrived(rng: random.Random, events: Sequence[Event]) -> list[Event]:
    """Return the events with some delay, each within what its rules wait for. A lane of a box stays in order."""
    latest: dict[str, int] = {}
    delayed: list[Event] = []
    for event in events:
        received_ms = event.received_ms
        if received_ms == event.at_ms:
            received_ms += rng.randint(0, latitude_ms(event))
        if event.spool is not None:
            received_ms = max(received_ms, latest.get(event.spool.box_id, 0))
            received_ms = min(received_ms, max(event.received_ms, event.at_ms + latitude_ms(event)))
            latest[event.spool.box_id] = received_ms
        delayed.append(msgspec.structs.replace(event, received_ms=received_ms))
    return delayed


def after_the_first(events: Sequence[Event], doubles: Sequence[Event]) -> list[Event]:
    """Return the copies, each after what it is a copy of: the first one that is taken is the one that counts."""
    taken_ms = {(event.source_id, event.event_id): event.received_ms for event in events}
    return [
        msgspec.structs.replace(
            copy, received_ms=max(copy.received_ms, taken_ms.get((copy.source_id, copy.event_id), 0) + 1)
        )
        for copy in doubles
    ]


def logs(
    rng: random.Random, sites: Mapping[str, Sequence[Event]], partitions: int, *, retried: bool
) -> list[list[Batch]]:
    """Return each partition's records; ``retried``: some of them are in the log twice."""
    by_partition: list[list[Event]] = [[] for _ in range(partitions)]
    for site_id, events in sites.items():
        by_partition[partition_of(site_id, partitions)] += events
    end_ms = max(event.received_ms for events in sites.values() for event in events) + QUIET_MS
    made = []
    for partition, events in enumerate(by_partition):
        records = _cut(rng, partition, sorted(events, key=lambda event: event.received_ms))
        records += [Batch(partition=partition, watermark_ms=end_ms + n) for n in range(2)]
        made.append([again for record in records for again in [record] * (1 + (retried and rng.random() < 0.1))])
    return made


def _cut(rng: random.Random, partition: int, events: Sequence[Event]) -> list[Batch]:
    """Return ``events``, by arrival, as batches of any size, each with a watermark that its writer may give."""
    most = rng.choice((3, 40, 300))
    records, start = [], 0
    while start < len(events):
        end = min(len(events), start + rng.randint(1, most))
        after_ms = events[end].received_ms if end < len(events) else events[-1].received_ms + 1
        watermark_ms = 0 if rng.random() < 0.2 else after_ms - 1 - rng.choice((0, 0, 50, 3_000))
        some = cast("tuple[AnyEvent, ...]", tuple(events[start:end]))
        records.append(Batch(partition=partition, watermark_ms=watermark_ms, events=some))
        if rng.random() < 0.1:
            records.append(Batch(partition=partition, watermark_ms=max(after_ms - 1, 0)))
        start = end
    return records
