"""A district's topics under its real code: log, findings and snapshots, in memory or on a real Kafka."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from contracts.batch import Batch, encode_batch
from contracts.findings import Finding
from streams.checkpoints.findings_topic import KafkaFindings
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.kafka import KafkaCluster, KafkaRecord, KafkaSender, KafkaTails, SendFuture
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.topics import TopicNames
from tests.support.kafka import make_topics

ANSWER_S = 60.0


class Topics:
    """The topics of one run. What differs between memory and Kafka is the client: cluster, sender and tails."""

    def __init__(self, names: TopicNames, cluster: KafkaCluster, sender: KafkaSender, tails: KafkaTails) -> None:
        self._names, self._cluster, self._sender, self._tails = names, cluster, sender, tails
        self._sent: list[SendFuture] = []

    def append(self, record: Batch) -> None:
        """Write a record of the log."""
        self._sent.append(self._sender.send(self._names.log, record.partition, encode_batch(record)))

    def flush(self) -> None:
        """Wait until everything written is there."""
        for sent in self._sent:
            sent.wait(ANSWER_S)
        self._sent.clear()

    def log(self, partition: int) -> KafkaLogReader:
        """Return a reader of the log's partition."""
        return KafkaLogReader(self._cluster, self._names.log, partition, self._tails)

    def checkpoints(self, partition: int) -> KafkaCheckpointStore:
        """Return a partition's store."""
        return KafkaCheckpointStore(self._cluster, self._names, partition, sender=self._sender, tails=self._tails)

    def findings(self, partition: int) -> list[Finding]:
        """Return everything that was sent, in order; twice what was sent twice."""
        topic = KafkaFindings(self._cluster, self._names.findings, partition, self._tails)
        found: list[Finding] = []
        n = 0
        while some := topic.findings_after(n, 10_000):
            n = some[-1][0]
            found += [finding for _, finding in some]
        return found

    def put_old_things_back(self, rng: random.Random, partition: int) -> None:
        """Do what a worker that was thought dead does: it writes rows and manifests of an earlier moment."""
        tail = self._tails(self._names.snapshots, partition)
        begin, end = tail.begin(), tail.end()
        for offset in sorted(rng.sample(range(begin, end), min(end - begin, rng.randrange(4)))):
            for record in tail.read(offset, 1):
                self._sent.append(self._sender.send(self._names.snapshots, partition, record.value, record.key))
        self.flush()


class KafkaTopics(Topics):
    """Topics of their own on a real broker."""

    def __init__(self, url: str, partitions: int) -> None:
        cluster = KafkaCluster(url, "fuzz")
        super().__init__(make_topics(url, partitions=partitions), cluster, cluster.producer(), cluster.tails())

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()


class MemoryTopics(Topics):
    """Topics that end with the run."""

    def __init__(self) -> None:
        client: Any = _MemoryClient()
        super().__init__(TopicNames("fuzz."), client, client, client)


class _Sent:
    """A record that is durable at once."""

    done = True

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def wait(self, _timeout_s: float) -> int:
        return self._offset


class _Tail:
    """A partition's records by offset."""

    def __init__(self, records: list[KafkaRecord]) -> None:
        self._records = records

    def begin(self) -> int:
        return 0

    def end(self) -> int:
        return len(self._records)

    def read(self, offset: int, limit: int, _wait_s: float = 0.0) -> list[KafkaRecord]:
        return self._records[offset : offset + limit]


class _MemoryClient:
    """What cluster, sender and tails of the real client are to the code over them, for topics in memory."""

    def __init__(self) -> None:
        self._records: defaultdict[tuple[str, int], list[KafkaRecord]] = defaultdict(list)

    def send(self, topic: str, partition: int, value: bytes | None, key: bytes | None = None) -> _Sent:
        records = self._records[topic, partition]
        records.append(KafkaRecord(len(records), key, value, 0))
        return _Sent(len(records) - 1)

    def __call__(self, topic: str, partition: int) -> _Tail:
        return _Tail(self._records[topic, partition])

    def topic_id(self, topic: str) -> str:
        return f"id-of-{topic}"
