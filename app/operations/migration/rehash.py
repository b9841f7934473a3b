"""The records of a log's partitions as those of another number of partitions, so that every site's story stays. Pure.

A site's story is its events, and how far time was before and after each. Where the new number is a multiple of the old
one, a new partition has one source and takes over its records as they are. Otherwise it has several, and time in it is
what is proven for all of them. Their records then come in the order of how far their own time was before: so time in
the new partition, too, is just there when the record comes. Between two records of one source it rises in more steps
than it did; since the site hears of nothing in between, the steps release what the one did (docs/protocol.md#lateness).

Where the log's time moves, so does that of the new partitions; of several sources, only if they moved together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import gcd

import msgspec

from app.operations.migration.records import records_of
from contracts.batch import Batch, decode_batch, shift_of
from contracts.errors import Rejected
from contracts.events import AnyEvent
from contracts.names import partition_of
from streams.log.port import LogReader


class SourcePartition(msgspec.Struct, frozen=True):
    """A partition of the old log. ``skipped``: positions that a person has given up."""

    log: LogReader
    skipped: frozenset[int] = frozenset()


def rehashed(sources: Sequence[SourcePartition], partitions: int, sites: Iterable[str] = ()) -> Iterator[Batch]:
    """Yield the records of ``sources`` (every partition of a log, in order) as batches of ``partitions`` new ones.

    Time reaches a partition from its first site on, so that each site hears of it exactly as before: what was late
    stays late. A partition whose log ends earlier than others' holds back those that it shares a new one with.
    ``sites`` are known before the log begins. Left out is what brings a partition neither events nor time, and what
    the rules have reported: records that cannot be read, are not their partition's, or were given up.
    """
    begun = {partition_of(site_id, partitions) for site_id in sites}
    groups = gcd(len(sources), partitions)
    for group in range(groups):
        feeding = [
            _Reading(source, number, len(sources))
            for number, source in enumerate(sources)
            if number % groups == group and source.log.end() > source.log.begin()
        ]
        targets = {partition for partition in begun if partition % groups == group}
        yield from _merged(feeding, partitions, targets)


def _merged(feeding: Sequence[_Reading], partitions: int, begun: set[int]) -> Iterator[Batch]:
    known_ms = 0
    while waiting := [reading for reading in feeding if not reading.ended]:
        reading = min(waiting, key=lambda reading: reading.proven_ms)
        before_ms = reading.proven_ms
        run = reading.run()
        if shift_of(run[0]):  # another time begins
            before_ms = known_ms = 0
        proven_ms = min(reading.proven_ms for reading in feeding)
        concerned: set[int] = set()
        for batch in run:
            closes = batch.watermark_ms >= before_ms
            watermark_ms = proven_ms if closes else min(batch.watermark_ms, known_ms)
            events = _by_partition(batch.events, partitions)
            begun |= events.keys()
            concerned |= events.keys()
            for partition in sorted(begun if closes and proven_ms > known_ms else concerned):
                yield Batch(partition=partition, watermark_ms=watermark_ms, events=tuple(events.get(partition, ())))
        known_ms = proven_ms


class _Reading:
    """An old partition being read. ``proven_ms`` is how far time was in it before what comes next."""

    def __init__(self, source: SourcePartition, number: int, partitions: int) -> None:
        self.proven_ms = 0
        self._batches = _batches(source, number, partitions)
        self._next = next(self._batches, None)

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more."""
        return self._next is None

    def run(self) -> list[Batch]:
        """Return the next records, up to the first one whose time is not behind what was proven.

        A record behind it (a shard that has just begun says 0) releases less than time would allow: nothing of another
        source may come before time is where it was.
        """
        run: list[Batch] = []
        while self._next is not None and not (run and shift_of(self._next)):
            batch, self._next = self._next, next(self._batches, None)
            run.append(batch)
            if batch.watermark_ms >= self.proven_ms or shift_of(batch):
                self.proven_ms = batch.watermark_ms
                break
        return run


def _batches(source: SourcePartition, number: int, partitions: int) -> Iterator[Batch]:
    for record in records_of(source.log):
        if record.position in source.skipped:
            continue
        try:
            batch = decode_batch(record.data)
        except Rejected:
            continue
        at_home = all(partition_of(event.site_id, partitions) == number for event in batch.events)
        if at_home and batch.partition == number:
            yield batch


def _by_partition(events: Iterable[AnyEvent], partitions: int) -> Mapping[int, list[AnyEvent]]:
    found: dict[int, list[AnyEvent]] = {}
    for event in events:
        found.setdefault(partition_of(event.site_id, partitions), []).append(event)
    return found
