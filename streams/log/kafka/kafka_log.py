"""The log on Kafka: one record a batch, position = offset. No transactions and no compaction, so no holes.

See docs/protocol.md#the-log-on-kafka.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from contracts.batch import Batch, decode_batch, encode_batch
from contracts.errors import ConfigurationError, LogBroken, Rejected, Transient
from streams.kafka import DELIVERY_S, KafkaCluster, KafkaSender, KafkaTail, KafkaTails, SendFuture
from streams.log.port import LogRecord

APPEND_S = 10.0
"""An append that takes longer says so, and goes on being waited for when it is tried again."""
LOOK_BACK = 8_192
"""Records of a partition that may say nothing about time before the newest one that does."""
_LOOK_STEP = 16


class KafkaLogWriter:
    """The one writer of some partitions. Nothing here keeps another writer away: each partition must have one owner.

    Args:
        cluster: the brokers.
        topic: of the log.
        partitions: those owned.
        sender: to share with other topics; closed by whoever made it.

    Raises:
        ConfigurationError: on appending, when a batch is for a partition that is not owned.
    """

    def __init__(
        self, cluster: KafkaCluster, topic: str, partitions: Sequence[int], sender: KafkaSender | None = None
    ) -> None:
        self._cluster, self._topic = cluster, topic
        self._partitions = frozenset(partitions)
        self._sender = sender or cluster.producer(compress=True)
        self._under_way: dict[int, tuple[Batch, SendFuture]] = {}  # by id(batch): sent, and not acknowledged in time

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append in order; durable on every copy in sync on return. See :class:`streams.log.port.LogWriter`.

        A batch that was under way when the last call gave up is waited for again, not sent again.
        """
        for batch in batches:
            if batch.partition not in self._partitions:
                raise ConfigurationError(
                    f"a batch for partition {batch.partition}; this writer owns {sorted(self._partitions)}"
                )
        sent: list[tuple[Batch, SendFuture]] = []
        try:
            for batch in batches:
                sent.append((batch, self._send(batch)))
            positions = [future.wait(APPEND_S) for _, future in sent]
        except Transient:
            self._under_way |= {id(batch): (batch, future) for batch, future in sent}
            self._under_way = {key: kept for key, kept in self._under_way.items() if _goes_on(kept[1])}
            raise
        self._under_way = {}
        return positions

    def last_watermark_ms(self) -> int:
        """Return the newest watermark near the ends of the owned partitions, 0 when nothing there tells the time."""
        tails = self._cluster.tails()
        try:
            return max((_watermark_ms(tails, self._topic, p) for p in sorted(self._partitions)), default=0)
        finally:
            tails.close()

    def close(self) -> None:
        """Close the connection; what is not durable is given up."""
        self._sender.close()

    def _send(self, batch: Batch) -> SendFuture:
        known = self._under_way.get(id(batch))
        if known is not None and known[0] is batch:
            return known[1]
        return self._sender.send(self._topic, batch.partition, encode_batch(batch))


class KafkaLogLoader:
    """Appends without waiting for each: for a file, whose loader is the only writer and begins anew if it fails.

    Args:
        cluster: the brokers.
        topic: of the log.
    """

    def __init__(self, cluster: KafkaCluster, topic: str) -> None:
        self._topic = topic
        self._sender = cluster.producer(compress=True)

    def append(self, batches: Sequence[Batch]) -> None:
        """Send in order; durable after :meth:`finish`.

        Raises:
            Transient, Permanent: these, or some sent before, are lost. What came after them may be there.
        """
        for batch in batches:
            self._sender.send(self._topic, batch.partition, encode_batch(batch))
        self._sender.check()

    def finish(self) -> None:
        """Wait until everything is durable.

        Raises:
            Transient, Permanent: some of it is lost.
        """
        self._sender.flush(DELIVERY_S + APPEND_S)


class KafkaLogReader:
    """One partition of the log, read by position. See :class:`streams.log.port.LogReader`."""

    def __init__(self, cluster: KafkaCluster, topic: str, partition: int, tails: KafkaTails | None = None) -> None:
        self._cluster, self._topic = cluster, topic
        self._tail: KafkaTail = (tails or cluster.tails())(topic, partition)
        self._name = f"{topic}/{partition}"

    def identity(self) -> str:
        """Return the topic's id: a topic that was deleted and made again is another log."""
        return self._cluster.topic_id(self._topic)

    def begin(self) -> int:
        """Return the first position still held."""
        return self._tail.begin()

    def end(self) -> int:
        """Return the position the next record will get."""
        return self._tail.end()

    def read(self, position: int, limit: int, wait_s: float = 0.0) -> list[LogRecord]:
        """Return at most ``limit`` contiguous records from ``position`` on; ``wait_s`` is how long to wait at the end.

        Raises:
            LogBroken: ``position`` lies before the beginning or beyond the end, or records in between are missing.
            Transient: the brokers do not answer.
        """
        records = self._tail.read(position, limit, wait_s)
        for expected, record in zip(itertools.count(position), records, strict=False):
            if record.offset != expected:
                raise LogBroken(f"{self._name}: records from position {expected} to {record.offset - 1} are missing")
        return [LogRecord(record.offset, record.value or b"", record.timestamp_ms) for record in records]

    def close(self) -> None:
        """Close the connection."""
        self._tail.close()


def _goes_on(future: SendFuture) -> bool:
    """Return whether a record may still arrive, or has: sending it again could make a duplicate."""
    if not future.done:
        return True
    try:
        future.wait(0)
    except Transient:
        return False
    return True


def _watermark_ms(tails: KafkaTails, topic: str, partition: int) -> int:
    """Return the newest watermark of the last records; a writer appends 0 only before its first probe came back."""
    tail = tails(topic, partition)
    end, begin = tail.end(), tail.begin()
    step = _LOOK_STEP
    while end > begin and step <= LOOK_BACK:
        start = max(begin, end - step)
        found = next((mark_ms for mark_ms in reversed(_watermarks(tail, start, end)) if mark_ms), 0)
        if found:
            return found
        end, step = start, step * 2
    return 0


def _watermarks(tail: KafkaTail, start: int, end: int) -> list[int]:
    found: list[int] = []
    while start < end:
        records = tail.read(start, end - start)
        if not records:
            break
        for record in records:
            try:
                found.append(decode_batch(record.value or b"").watermark_ms)
            except Rejected:  # the engine reports it
                continue
        start = records[-1].offset + 1
    return found
