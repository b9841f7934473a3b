"""Looking into the findings topic: a finding by its id, and when it was sent. Reads beside workers and incidents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from contracts.findings import Finding
from contracts.names import partition_of
from streams.checkpoints.findings_topic import decode_findings_record
from streams.checkpoints.sqlite_lookup import StoredFinding, rests_on
from streams.kafka import KafkaRecord, KafkaTail

READ_RECORDS = 500
EARLIER_MS = 60_000
"""A finding is sent after it is due; clocks of hosts may disagree by less than this."""


class KafkaLookup:
    """See :class:`streams.checkpoints.sqlite_lookup.FindingLookup`.

    Args:
        partitions: how many the topic has.
        tail: gives a reader of one.
    """

    def __init__(self, partitions: int, tail: Callable[[int], KafkaTail]) -> None:
        self._partitions, self._tail = partitions, tail

    def find(self, finding_id: str, like: Finding | None = None) -> StoredFinding | None:
        """Look, given ``like`` (the same finding, without the time), from about when it was due; else read all."""
        if like is not None:
            partition = partition_of(like.site_id, self._partitions)
            found = self._all(partition, self._offset_at(partition, like.due_ms - EARLIER_MS))
        else:
            found = (kept for partition in range(self._partitions) for kept in self._all(partition))
        return next((kept for kept in found if kept.finding.finding_id == finding_id), None)

    def resting_on(self, event_id: str) -> list[StoredFinding]:
        """Read everything: an id may stand anywhere in a finding's facts. Repeats of dead workers are left out."""
        found: dict[str, StoredFinding] = {}
        for partition in range(self._partitions):
            for kept in self._all(partition):
                if rests_on(kept.finding, event_id):
                    found.setdefault(kept.finding.finding_id, kept)
        return list(found.values())

    def _all(self, partition: int, offset: int | None = None) -> Iterator[StoredFinding]:
        for record in self._records(partition, offset):
            said = decode_findings_record(record.value or b"")
            if isinstance(said, Finding):
                yield StoredFinding(said, record.timestamp_ms)

    def _records(self, partition: int, offset: int | None) -> Iterator[KafkaRecord]:
        tail = self._tail(partition)
        at, end = tail.begin() if offset is None else offset, tail.end()
        while at < end and (records := tail.read(at, READ_RECORDS)):
            yield from records
            at = records[-1].offset + 1

    def _offset_at(self, partition: int, at_ms: int) -> int:
        """Return the first offset of a record sent at ``at_ms`` or later, by halving: workers' clocks go forward."""
        tail = self._tail(partition)
        low, high = tail.begin(), tail.end()
        while low < high:
            middle = (low + high) // 2
            if tail.read(middle, 1)[0].timestamp_ms >= at_ms:
                high = middle
            else:
                low = middle + 1
        return low
