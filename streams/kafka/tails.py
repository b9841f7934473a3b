"""One partition of Kafka read by offset, over a connection that many readers share and turn to theirs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from kafka import errors as kafka_errors

from contracts.errors import LogBroken

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster

_FETCH_BYTES = 1024 * 1024  # of a partition at a time; a larger record comes whole all the same
_FETCH_WAIT_MS = 20  # a fetch that waits for news holds up every question behind it on the connection; default 500


class KafkaRecord(msgspec.Struct, frozen=True):
    """One record of a partition. ``timestamp_ms`` is wall time of its sending; ``value`` None is a tombstone."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


class KafkaTails:
    """One consumer that reads any partition from any offset: no group, no reset, no commit. Thread-safe."""

    fetch_bytes = _FETCH_BYTES
    """Of one partition in one answer; a larger record comes whole all the same."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster
        self._lock = threading.RLock()
        self._consumer: Any = None
        self._at: tuple[Any, int] | None = None  # the partition it is set to, and the offset that comes next

    def __call__(self, topic: str, partition: int) -> KafkaTail:
        """Return a reader of this partition over this connection."""
        return KafkaTail(self, topic, partition)

    def begin(self, at: Any) -> int:
        """Return the first offset held."""
        with self._asked(f"where {name_of(at)} begins") as consumer:
            return int(consumer.beginning_offsets([at], timeout_ms=int(self.cluster.answer_s * 1000))[at])

    def end(self, at: Any) -> int:
        """Return the offset of the next record."""
        with self._asked(f"where {name_of(at)} ends") as consumer:
            return int(consumer.end_offsets([at], timeout_ms=int(self.cluster.answer_s * 1000))[at])

    def ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Return the offset of the next record of each, asked for together."""
        found = self._ask_ends([TopicPartition(topic, partition) for partition in partitions]) if partitions else {}
        return {at.partition: end for at, end in found.items()}

    def read(self, at: Any, offset: int, limit: int, wait_s: float) -> list[KafkaRecord]:
        """See :meth:`KafkaTail.read`."""
        with self._asked(f"to read {name_of(at)} from {offset}") as consumer:
            try:
                end = self.end(at) if wait_s <= 0 else offset
                if wait_s <= 0 and offset == end:
                    return []  # without turning the consumer to this partition
                self._seek(consumer, at, offset)
                records = self._poll(consumer, at, offset, end, limit, wait_s)
            except kafka_errors.OffsetOutOfRangeError as error:
                self._at = None
                raise self._out_of_range(at, offset) from error
            if records:
                self._at = (at, records[-1].offset + 1)
            return records

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            consumer, self._consumer, self._at = self._consumer, None, None
        self.cluster.closed(self)
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=1_000)

    def _seek(self, consumer: Any, at: Any, offset: int) -> None:
        if self._at == (at, offset):
            return
        if self._at is None or self._at[0] != at:
            consumer.assign([at])
        consumer.seek(at, offset)
        self._at = (at, offset)

    def _poll(self, consumer: Any, at: Any, offset: int, end: int, limit: int, wait_s: float) -> list[KafkaRecord]:
        """Return what comes within ``wait_s``; beyond it only what is known to be there is waited for."""
        deadline_s = time.monotonic() + max(wait_s, 0.0) + self.cluster.answer_s
        while True:
            if offset < end or wait_s > 0:
                pause_s = self.cluster.answer_s if offset < end else wait_s
                found = consumer.poll(timeout_ms=int(pause_s * 1000), max_records=limit).get(at, ())
                if found:
                    return [KafkaRecord(r.offset, r.key, r.value, r.timestamp) for r in found]
                end = self.end(at)  # raises when nobody answers
            if offset > end:
                raise kafka_errors.OffsetOutOfRangeError
            if consumer.position(at, timeout_ms=0) >= end or (offset == end):
                return []  # nothing but holes, or nothing at all
            wait_s = 0.0
            if time.monotonic() >= deadline_s:
                raise kafka_errors.KafkaTimeoutError(f"records up to {end} are there and do not come")

    def _ask_ends(self, partitions: Sequence[Any]) -> dict[Any, int]:
        with self._asked("where partitions end") as consumer:
            ends = consumer.end_offsets(partitions, timeout_ms=int(self.cluster.answer_s * 1000))
            return {at: int(end) for at, end in ends.items()}

    def _out_of_range(self, at: Any, offset: int) -> LogBroken:
        """Return what to say of an offset that the brokers do not have."""
        begin, end = self.begin(at), self.end(at)
        if offset < begin:
            return LogBroken(f"{name_of(at)}: offset {offset} is gone, the first one held is {begin}")
        return LogBroken(
            f"{name_of(at)}: offset {offset} lies beyond the end, {end}: "
            "the topic was truncated, or made again by its name"
        )

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[Any]:
        with self._lock:
            if self._consumer is None:
                self._consumer = self.cluster.connect(
                    KafkaConsumer,
                    group_id=None,
                    enable_auto_commit=False,
                    auto_offset_reset="none",
                    max_partition_fetch_bytes=self.fetch_bytes,
                    fetch_max_wait_ms=_FETCH_WAIT_MS,
                    request_timeout_ms=int(self.cluster.answer_s * 1000),
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
                self.cluster.opened(self)
            try:
                yield self._consumer
            except kafka_errors.KafkaError as error:
                self.close()  # whatever state it was in, the next question begins anew
                raise self.cluster.failure(what, error) from error


class KafkaTail:
    """One partition, read by offset."""

    def __init__(self, tails: KafkaTails, topic: str, partition: int) -> None:
        self._tails, self.at = tails, TopicPartition(topic, partition)

    def begin(self) -> int:
        """Return the first offset still held (= :meth:`end` when nothing is)."""
        return self._tails.begin(self.at)

    def end(self) -> int:
        """Return the offset the next record will get."""
        return self._tails.end(self.at)

    def read(self, offset: int, limit: int, wait_s: float = 0.0) -> list[KafkaRecord]:
        """Return at most ``limit`` records from ``offset`` on, in order; compacted topics have holes.

        Empty only at the end: when there is nothing beyond ``offset``, and nothing came within ``wait_s``.

        Raises:
            LogBroken: ``offset`` lies before :meth:`begin` or beyond :meth:`end`.
            Transient: the brokers do not answer.
        """
        return self._tails.read(self.at, offset, limit, wait_s)

    def close(self) -> None:
        """Close the connection, also that of other readers over it; the next read opens it again."""
        self._tails.close()


def name_of(at: Any) -> str:
    """Return a partition as people read it."""
    return f"{at.topic}/{at.partition}"
