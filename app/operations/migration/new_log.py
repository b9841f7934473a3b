"""The district's log that is migrated into: batches appended, and the rules' state put behind the last of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from app.operations.migration.carry import LogEnd, PartitionState, carried
from app.operations.migration.log_copy import CopyTarget, PartitionCopy, copy_log
from app.settings.settings import Settings
from app.wiring.district import log_partitions, topic_names
from contracts.batch import Batch
from contracts.errors import ConfigurationError
from contracts.names import partition_of
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.engine.manifest import encode_manifest
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogReader, KafkaLogWriter
from streams.runtime.anchored_log import hash_of


class NewLog:
    """The topics of ``district``, which must have been made; see :func:`app.operations.migration.log_copy.copy_log`."""

    def __init__(self, cluster: KafkaCluster, district: Settings) -> None:
        self._cluster, self._names = cluster, topic_names(district)
        self.partitions = log_partitions(cluster, district)

    def fill(self, batches: Iterable[Batch], on_progress: Callable[[str], None]) -> Mapping[int, PartitionCopy]:
        """Append what is missing, read all of it back; what each partition holds."""
        tails = self._cluster.tails()
        writer = KafkaLogWriter(self._cluster, self._names.log, range(self.partitions))
        try:
            target = CopyTarget(
                self.partitions, lambda p: KafkaLogReader(self._cluster, self._names.log, p, tails), writer
            )
            copies = copy_log(batches, target, lambda records: on_progress(f"log: {records} records"))
        finally:
            writer.close()
            tails.close()
        records = sum(copy.records for copy in copies.values())
        on_progress(f"log: {records} records in {len(copies)} partitions, read back")
        return copies

    def carry(self, states: Sequence[PartitionState]) -> int:
        """Put the rules' state behind the last record, unless it is there; of how many sites it is."""
        if not states:
            return 0
        tails, sender = self._cluster.tails(), self._cluster.producer()
        try:
            sites = [row.site_id for state in states for row in state.rows]
            homes = {partition_of(site_id, self.partitions) for site_id in sites}
            ends = {p: _end_of(KafkaLogReader(self._cluster, self._names.log, p, tails)) for p in homes}
            log_id = self._cluster.topic_id(self._names.log)
            moved = carried(states, log_id=log_id, partitions=self.partitions, ends=ends)
            for partition, (rows, manifest) in moved.items():
                keep = KafkaCheckpointStore(self._cluster, self._names, partition, sender=sender, tails=tails)
                if manifest.digest not in keep.manifests():
                    keep.save(rows, encode_manifest(manifest), manifest.digest)
        finally:
            sender.close()
            tails.close()
        return len(sites)


def _end_of(log: KafkaLogReader) -> LogEnd:
    last = log.end() - 1
    if last < 0:
        raise ConfigurationError("nothing is left of the log, so there is nothing the rules' state could lie behind")
    return LogEnd(last, hash_of(log.read(last, 1)[0]))
