"""Records into Kafka: durable on every copy, each once, in the order of their partition."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer  # type: ignore[import-untyped]
from kafka import errors as kafka_errors

from contracts.errors import Transient
from streams.topics import MAX_SNAPSHOT_BYTES

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster

DELIVERY_S = 120.0
"""How long a sent record is tried again inside the client, where duplicates are impossible, before it counts as lost.
"""
BUFFER_BYTES = 32 * 1024 * 1024
"""Sent and not acknowledged, of one sender; more waits. The client itself has no bound."""
LINGER_MS = 5  # what is sent for many partitions in a row is one request, not one each


class SendFuture:
    """A record under way."""

    def __init__(self, cluster: KafkaCluster, topic: str, future: Any) -> None:
        self._cluster, self._topic, self._future = cluster, topic, future

    @property
    def done(self) -> bool:
        """Whether it is durable, or failed."""
        return bool(self._future.is_done)

    def wait(self, timeout_s: float) -> int:
        """Return its offset, once it is durable on every copy in sync.

        Raises:
            Transient: it is not yet (:attr:`done` is False: it may still become so), or sending failed and may be
                tried again.
            Permanent: it cannot be sent.
        """
        try:
            return int(self._future.get(timeout_s).offset)
        except kafka_errors.KafkaError as error:
            raise self._cluster.failure(f"to append to {self._topic}", error) from error


class KafkaSender:
    """Sends records; durable means on every copy in sync (``acks=all``), and each once (idempotent) in its order.

    Thread-safe. Holds :data:`BUFFER_BYTES` at most; :meth:`send` waits for room.
    """

    def __init__(self, cluster: KafkaCluster, *, compress: bool = False) -> None:
        self._cluster, self._compress = cluster, compress
        self._producer: Any = None
        self._opening = threading.Lock()
        self._room = threading.Condition()
        self._bytes = 0
        self._failed: tuple[str, Exception] | None = None

    def send(self, topic: str, partition: int, value: bytes | None, key: bytes | None = None) -> SendFuture:
        """Send one record; returns at once unless the buffer is full. Records of a partition arrive in this order.

        Raises:
            Transient: the brokers do not answer, or the buffer stayed full.
            Permanent: the record is too large, or there is no such partition.
        """
        size = len(value or b"") + len(key or b"")
        producer = self._connected()
        self._take_room(size)
        try:
            future = producer.send(topic, value=value, key=key, partition=partition)
        except (kafka_errors.KafkaError, ValueError) as error:  # ValueError: a partition the topic does not have
            self._give_room(size)
            raise self._cluster.failure(f"to append to {topic}/{partition}", error) from error
        future.add_callback(lambda _sent: self._give_room(size))
        future.add_errback(lambda error: self._lost(f"to append to {topic}/{partition}", error, size))
        return SendFuture(self._cluster, topic, future)

    def flush(self, timeout_s: float) -> None:
        """Wait until everything sent so far is durable.

        Raises:
            Transient: it is not in time, or something sent since the last call was lost and may be sent again.
            Permanent: something sent since the last call cannot be sent; the first such error.
        """
        if self._producer is None:
            return
        try:
            self._producer.flush(timeout_s)
        except kafka_errors.KafkaError as error:
            raise self._cluster.failure("to finish what was sent", error) from error
        self.check()

    def check(self) -> None:
        """Raise if something sent since the last call was lost: the first such error, as :meth:`flush`."""
        with self._room:
            failed, self._failed = self._failed, None
        if failed is not None:
            raise self._cluster.failure(*failed) from failed[1]

    def close(self, timeout_s: float = 1.0) -> None:
        """Close the connection; what is not durable within ``timeout_s`` is given up."""
        with self._opening:
            producer, self._producer = self._producer, None
        self._cluster.closed(self)
        if producer is not None:
            with contextlib.suppress(kafka_errors.KafkaError):
                producer.close(timeout_s)

    def _connected(self) -> Any:
        with self._opening:
            if self._producer is None:
                self._producer = self._cluster.connect(
                    KafkaProducer,
                    acks="all",
                    enable_idempotence=True,
                    compression_type="gzip" if self._compress else None,  # what every client reads without a package
                    delivery_timeout_ms=int(DELIVERY_S * 1000),
                    request_timeout_ms=int(self._cluster.answer_s * 1000),
                    max_block_ms=int(self._cluster.answer_s * 1000),
                    linger_ms=LINGER_MS,
                    max_request_size=MAX_SNAPSHOT_BYTES,
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
                self._cluster.opened(self)
            return self._producer

    def _take_room(self, size: int) -> None:
        with self._room:
            if not self._room.wait_for(
                lambda: not self._bytes or self._bytes + size <= BUFFER_BYTES, self._cluster.answer_s
            ):
                servers = ",".join(self._cluster.servers)
                raise Transient(f"Kafka at {servers} is behind: {self._bytes} bytes are not acknowledged yet")
            self._bytes += size

    def _give_room(self, size: int) -> None:
        with self._room:
            self._bytes -= size
            self._room.notify_all()

    def _lost(self, what: str, error: Exception, size: int) -> None:
        with self._room:
            self._failed = self._failed or (what, error)
        self._give_room(size)
