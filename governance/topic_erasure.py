"""What a district's topics say of an erased reference. Their records cannot be changed: each topic lets go in its time.

Log and findings go with their segments, by age. Of a site's snapshot the next row replaces the last, and compaction
drops what was replaced within minutes; rows of versions that have handed over are taken back here. A topic is read from
its beginning to its end, so what compaction has not dropped yet counts as there. All of a site lies in one partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from contracts.batch import decode_batch
from contracts.durations import HOUR_MS
from contracts.erasure import UNKEYED, Eraser, Erasure, ReferenceKey
from contracts.errors import LogBroken, Rejected
from contracts.findings import Finding
from contracts.names import partition_of
from streams.checkpoints.findings_topic import decode_findings_record
from streams.checkpoints.kafka import KafkaCheckpointStore, row_in
from streams.engine.erasure_check import names_in_snapshot
from streams.engine.manifest import PartitionManifest, decode_manifest
from streams.kafka import KafkaCluster, KafkaRecord
from streams.topics import TopicNames

_READ = 500
SEND_S = 30.0
ORPHANED_MS = HOUR_MS
"""A row of a version without a manifest is of a takeover: one under way, or one that failed, if it is older."""


class TopicMentions(msgspec.Struct):
    """How many records name the reference, the time of the newest, and the evidence that they name with it."""

    records: int = 0
    newest_ms: int = 0
    evidence: set[str] = msgspec.field(default_factory=set)

    def add(self, record: KafkaRecord) -> None:
        """Add one more."""
        self.records += 1
        self.newest_ms = max(self.newest_ms, record.timestamp_ms)


class TopicEraser:
    """The topics of a district. They close ``cluster`` with them.

    Args:
        partitions: how many the log has.
        key: by which references are recognised.
    """

    def __init__(self, cluster: KafkaCluster, names: TopicNames, partitions: int, key: ReferenceKey = UNKEYED) -> None:
        self._key = key
        self._cluster, self._names, self._partitions = cluster, names, partitions
        self._tails = cluster.tails()

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()

    def log(self, erasure: Erasure) -> TopicMentions:
        """Return records of the log that name it."""
        eraser, found = Eraser([erasure], self._key), TopicMentions()
        for record in self._records(self._names.log, erasure.site_id):
            try:
                events = decode_batch(record.value or b"").events
            except Rejected:  # the engine has reported it
                continue
            named = [event for event in events if eraser.event(event) is not event]
            if named:
                found.add(record)
                found.evidence |= {ref.sha256 for event in named for ref in event.evidence}
        return found

    def findings(self, erasure: Erasure) -> TopicMentions:
        """Return findings that name it."""
        eraser, found = Eraser([erasure], self._key), TopicMentions()
        for record in self._records(self._names.findings, erasure.site_id):
            try:
                said = decode_findings_record(record.value or b"")
            except LogBroken:  # the intake has reported it
                continue
            if isinstance(said, Finding) and eraser.finding(said) is not said:
                found.add(record)
        return found

    def snapshots(self, erasure: Erasure) -> TopicMentions:
        """Return rows that name it, those that newer ones have replaced included."""
        eraser, found = Eraser([erasure], self._key), TopicMentions()
        for record in self._records(self._names.snapshots, erasure.site_id):
            if (row := row_in(record)) is not None and names_in_snapshot(row, eraser, erasure.site_id):
                found.add(record)
        return found

    def take_back(self, erasure: Erasure, now_ms: int) -> int:
        """Take back rows that name it and that no version of the rules goes on from; how many."""
        eraser, partition = Eraser([erasure], self._key), self._partition(erasure.site_id)
        last = {record.key: record for record in self._records(self._names.snapshots, erasure.site_id)}
        sender, count = self._cluster.producer(), 0
        keep = KafkaCheckpointStore(self._cluster, self._names, partition, sender=sender, tails=self._tails)
        manifests = {digest: decode_manifest(data) for digest, data in keep.manifests().items()}
        for key, record in last.items():
            row = row_in(record)
            if row is None or not names_in_snapshot(row, eraser, erasure.site_id):
                continue
            if is_over(row.digest, manifests, old=record.timestamp_ms < now_ms - ORPHANED_MS):
                sender.send(self._names.snapshots, partition, None, key=key).wait(SEND_S)
                count += 1
        sender.close()
        return count

    def oldest_dead_ms(self) -> int | None:
        """Return when the oldest letter of the dead letters' topic was written; None when there is none."""
        tail = self._tails(self._names.dead, 0)
        records = tail.read(tail.begin(), 1)
        return records[0].timestamp_ms if records else None

    def _records(self, topic: str, site_id: str) -> Iterator[KafkaRecord]:
        tail = self._tails(topic, self._partition(site_id))
        offset, end = tail.begin(), tail.end()
        while offset < end and (records := tail.read(offset, _READ)):
            yield from records
            offset = records[-1].offset + 1

    def _partition(self, site_id: str) -> int:
        return partition_of(site_id, self._partitions)


def is_over(digest: str, manifests: Mapping[str, PartitionManifest], *, old: bool) -> bool:
    """Return whether no version will go on from the rows of ``digest``: a later one has got further, or it never began.

    A later version that has not got further may yet give the partition back; one without a manifest may be about to
    begin, unless its rows are ``old``.
    """
    own = manifests.get(digest)
    if own is None:
        return old
    return any(one.generation > own.generation and one.position > own.position for one in manifests.values())
