"""What a run has put into the log on Kafka: how many events, and how many of them a record holds."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

import msgspec

from bench.mix import PARTITIONS
from contracts.batch import Batch, decode_batch
from contracts.events import ConfigurationRecord
from streams.kafka import KafkaCluster
from streams.topics import TopicNames

READ_RECORDS = 500


class Logged(msgspec.Struct):
    """Events by the second they were received in, and the events of each record that has any."""

    by_second: dict[int, int] = {}
    sizes: list[int] = []
    empty: int = 0
    stored_bytes: int = 0

    def between(self, from_ms: int, to_ms: int) -> int:
        """Return events received from ``from_ms`` up to ``to_ms``, to the second."""
        return sum(count for second, count in self.by_second.items() if from_ms // 1_000 <= second < to_ms // 1_000)

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self.sizes)

    def take(self, batch: Batch, stored_bytes: int) -> None:
        """Count a record; what ingest itself said does not count."""
        said = [event for event in batch.events if not isinstance(event, ConfigurationRecord)]
        self.stored_bytes += stored_bytes
        if not said:
            self.empty += 1
            return
        self.sizes.append(len(said))
        for event in said:
            second = event.received_ms // 1_000
            self.by_second[second] = self.by_second.get(second, 0) + 1


class LogLookup:
    """The log from the moment this is opened on; it is read afterwards, so that reading takes no part in a run."""

    def __init__(self, kafka_url: str, topic: str = TopicNames().log) -> None:
        self._cluster, self._topic = KafkaCluster(kafka_url, "linli-bench"), topic
        self._begins: list[int] = []

    def __enter__(self) -> LogLookup:
        tails = self._cluster.tails()
        self._begins = [tails(self._topic, partition).end() for partition in range(PARTITIONS)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cluster.__exit__(kind, error, at)

    def logged(self) -> Logged:
        """Return everything since then."""
        logged = Logged()
        for data in self._records():
            logged.take(decode_batch(data), len(data))
        return logged

    def _records(self) -> Iterator[bytes]:
        tails = self._cluster.tails()
        for partition, begin in enumerate(self._begins):
            tail = tails(self._topic, partition)
            offset, end = begin, tail.end()
            while offset < end and (found := tail.read(offset, READ_RECORDS)):
                offset = found[-1].offset + 1
                yield from (record.value or b"" for record in found if record.offset < end)
