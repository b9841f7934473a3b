"""Kafka, the one file that imports its client: records in and out by partition and offset, and the topics themselves.

No groups, no transactions, no partitioner, no offset that Kafka keeps: partition and offset are always explicit. Every
wait ends: what does not answer is :class:`Transient` and names the brokers, never an empty answer.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition  # type: ignore[import-untyped]
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]
from kafka.net.compat import KafkaNetClient  # type: ignore[import-untyped]

from contracts.errors import ConfigurationError, LinliError, LogBroken, Permanent, Transient
from streams.topics import MAX_SNAPSHOT_BYTES, TopicSpec, TopicState

DEFAULT_PORT = 9092
ANSWER_S = 10.0
"""How long brokers may take to answer a question before they count as away."""
DELIVERY_S = 120.0
"""How long a sent record is tried again inside the client, where doubles are impossible, before it counts as lost."""
BUFFER_BYTES = 32 * 1024 * 1024
"""Sent and not acknowledged, of one sender; more waits. The client itself has no bound."""
_FETCH_BYTES = 1024 * 1024  # of a partition at a time; a larger record comes whole all the same
FOLLOW_STALE_S = 0.05
"""How much later who follows many partitions may hear of news, to ask for all of them at once."""
_FETCH_WAIT_MS = 20  # a fetch that waits for news holds up every question behind it on the connection; default 500
LINGER_MS = 5  # what is sent for many partitions in a row is one request, not one each
_RECONNECT_MAX_MS = 1_000  # or a broker that is back is found half a minute late
_SEND_AGAIN = (  # the client lost its place with the broker and takes a new one; appending again is the remedy
    kafka_errors.OutOfOrderSequenceNumberError,
    kafka_errors.UnknownProducerIdError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.ProducerFencedError,
)
_REFUSED = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
)


class KafkaRecord(msgspec.Struct, frozen=True):
    """One record of a partition. ``timestamp_ms`` is wall time of its sending; ``value`` None is a tombstone."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


def parse_kafka_url(url: str) -> list[str]:
    """The ``host:port`` of every broker named in ``kafka://host:port[,host:port…]``.

    Raises:
        ConfigurationError: it is no such URL.

    >>> parse_kafka_url("kafka://a:1,b")
    ['a:1', 'b:9092']
    """
    wrong = ConfigurationError(f"{url!r} is no Kafka URL; expected kafka://host:port[,host:port…]")
    parts = urlsplit(url)
    if parts.scheme != "kafka" or not parts.netloc or parts.path.strip("/") or parts.query:
        raise wrong
    servers = []
    for server in parts.netloc.split(","):
        host, _, port = server.partition(":")
        if not host or "@" in host or (":" in server and not (port.isdigit() and 0 < int(port) < 65_536)):
            raise wrong
        servers.append(f"{host}:{port or DEFAULT_PORT}")
    return servers


class KafkaCluster:
    """The brokers behind one URL. Connects when it is first asked something; thread-safe.

    Args:
        url: ``kafka://host:port[,host:port…]``.
        client_id: by what name the brokers know this process.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(self, url: str, client_id: str = "linli") -> None:
        self.servers = parse_kafka_url(url)
        self._client_id = client_id
        self._lock = threading.RLock()
        self._admin: Any = None
        self._opened: set[KafkaSender | KafkaTails] = set()

    def __enter__(self) -> KafkaCluster:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    # --- topics -------------------------------------------------------------------------------------------------------

    def brokers(self) -> int:
        """How many brokers there are."""
        return len(self._ask("its brokers", lambda admin: admin.describe_cluster())["brokers"])

    def topic_id(self, topic: str) -> str:
        """What tells this topic from another one of the same name; a topic that is made again has another.

        Raises:
            ConfigurationError: there is no such topic.
        """
        return str(self._described(topic)["topic_id"])

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            ConfigurationError: there is no such topic.
        """
        return len(self._described(topic)["partitions"])

    def topic_state(self, topic: str) -> TopicState | None:
        """A topic with its whole configuration, None when there is no such topic."""
        found = self._describe(topic)
        if found is None:
            return None
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        answer = self._ask(
            f"the settings of {topic}", lambda admin: admin.describe_configs([resource], config_filter="all")
        )
        config = {key: str(entry["value"]) for key, entry in answer["topic"][topic].items()}
        copies = min((len(p["replica_nodes"]) for p in found["partitions"]), default=0)
        return TopicState(str(found["topic_id"]), len(found["partitions"]), copies, config)

    def create_topic(self, spec: TopicSpec) -> bool:
        """Make a topic and wait until it can be used; False when there is one of this name already."""
        wanted = {
            spec.name: {
                "num_partitions": spec.partitions,
                "replication_factor": spec.replication,
                "configs": dict(spec.config),
            }
        }
        try:
            self._ask(
                f"to create {spec.name}",
                lambda admin: admin.create_topics(wanted, wait_for_metadata=True),
                expected=kafka_errors.TopicAlreadyExistsError,
            )
        except kafka_errors.TopicAlreadyExistsError:
            return False
        return True

    def configure_topic(self, topic: str, config: Mapping[str, str]) -> None:
        """Set these keys of a topic, leaving its others."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))
        self._ask(f"to configure {topic}", lambda admin: admin.alter_configs([resource]))

    def delete_topic(self, topic: str) -> None:
        """Remove a topic and everything in it."""
        self._ask(f"to delete {topic}", lambda admin: admin.delete_topics([topic]))

    # --- records ------------------------------------------------------------------------------------------------------

    def group_members(self, group: str) -> int:
        """How many consumers are in a group at this moment."""
        found = self._ask(f"about group {group}", lambda admin: admin.describe_groups([group]))
        described = found[group] if isinstance(found, Mapping) else found[0]
        members = described["members"] if isinstance(described, Mapping) else described.members
        return len(members)

    def producer(self, *, compress: bool = False) -> KafkaSender:
        """A sender of its own connection; closed with the cluster. ``compress`` is for what is not compressed yet."""
        return KafkaSender(self, compress=compress)

    def tail(self, topic: str, partition: int) -> KafkaTail:
        """A reader of one partition with a connection of its own; closed with the cluster."""
        return self.tails()(topic, partition)

    def tails(self, stale_s: float = 0.0) -> KafkaTails:
        """Readers that share one connection and take turns: for looking into many partitions, not for waiting.

        ``stale_s``: see :class:`KafkaTails`; :data:`FOLLOW_STALE_S` for who follows many partitions.
        """
        return KafkaTails(self, stale_s)

    def close(self) -> None:
        """Close everything that was opened here; what was sent and is not durable is given up."""
        with self._lock:
            opened = list(self._opened)
            admin, self._admin = self._admin, None
        for one in opened:
            one.close()
        if admin is not None:
            admin.close()

    # --- for the classes of this module -------------------------------------------------------------------------------

    def opened(self, one: KafkaSender | KafkaTails) -> None:
        """This one has a connection now, to be closed with the cluster."""
        with self._lock:
            self._opened.add(one)

    def closed(self, one: KafkaSender | KafkaTails) -> None:
        """This one has none any more."""
        with self._lock:
            self._opened.discard(one)

    def connect(self, kind: Callable[..., Any], **settings: object) -> Any:
        """A client of ``kind``. What fails half-way leaves no thread behind, as it does in the client's own hands."""
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # every failure reaches us as an exception, once
        clients: list[Any] = []

        def client(**configs: object) -> Any:
            clients.append(KafkaNetClient(**configs))
            return clients[-1]

        try:
            return kind(
                bootstrap_servers=self.servers,
                client_id=self._client_id,
                bootstrap_timeout_ms=int(ANSWER_S * 1000),
                reconnect_backoff_max_ms=_RECONNECT_MAX_MS,
                kafka_client=client,
                **settings,
            )
        except kafka_errors.KafkaError as error:
            for opened in clients:
                opened.close()
            raise self.failure("to connect", error) from error

    def failure(self, what: str, error: Exception) -> LinliError:
        """Which of our errors one of the client's is; names the brokers and what was asked of them."""
        where = f"Kafka at {','.join(self.servers)}"
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if isinstance(error, kafka_errors.KafkaTimeoutError | kafka_errors.KafkaConnectionError):
            return Transient(f"{where} does not answer ({what}): {told}")
        if isinstance(error, _REFUSED):
            return ConfigurationError(f"{where} refuses us ({what}): {told}; allow {self._client_id!r} to do this")
        if isinstance(error, kafka_errors.LogTruncationError):
            return LogBroken(f"{where} lost records that were read already ({what}): {told}")
        if getattr(error, "retriable", False) or isinstance(error, _SEND_AGAIN):
            return Transient(f"{where} cannot do it now ({what}): {told}")
        return Permanent(f"{where} refuses ({what}): {told}")

    def _ask(self, what: str, question: Callable[[Any], Any], expected: type[Exception] | None = None) -> Any:
        """The answer to one question, asked again while the brokers are only unsettled, :data:`ANSWER_S` long."""
        deadline_s = time.monotonic() + ANSWER_S
        while True:
            try:
                with self._lock:
                    if self._admin is None:
                        self._admin = self.connect(KafkaAdminClient, request_timeout_ms=int(ANSWER_S * 1000))
                    return question(self._admin)
            except kafka_errors.KafkaError as error:
                if expected is not None and isinstance(error, expected):
                    raise
                failure = self.failure(what, error)
                if not isinstance(failure, Transient) or time.monotonic() >= deadline_s:
                    raise failure from error
            time.sleep(0.1)

    def _describe(self, topic: str) -> dict[str, Any] | None:
        found = self._ask(f"about {topic}", lambda admin: admin.describe_topics([topic]))[0]
        code = int(found["error_code"])
        if code == kafka_errors.UnknownTopicOrPartitionError.errno:
            return None
        if code:
            raise self.failure(f"about {topic}", kafka_errors.for_code(code)())
        return dict(found)

    def _described(self, topic: str) -> dict[str, Any]:
        found = self._describe(topic)
        if found is None:
            raise ConfigurationError(
                f"Kafka at {','.join(self.servers)} has no topic {topic!r}; `linli topics create` makes it"
            )
        return found


class SendFuture:
    """A record under way."""

    def __init__(self, cluster: KafkaCluster, topic: str, future: Any) -> None:
        self._cluster, self._topic, self._future = cluster, topic, future

    @property
    def done(self) -> bool:
        """Whether it is durable, or failed."""
        return bool(self._future.is_done)

    def wait(self, timeout_s: float) -> int:
        """Its offset, once it is durable on every copy in sync.

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
        """Nothing, unless something sent since the last call was lost: the first such error, as :meth:`flush`."""
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
                    request_timeout_ms=int(ANSWER_S * 1000),
                    max_block_ms=int(ANSWER_S * 1000),
                    linger_ms=LINGER_MS,
                    max_request_size=MAX_SNAPSHOT_BYTES,
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
                self._cluster.opened(self)
            return self._producer

    def _take_room(self, size: int) -> None:
        with self._room:
            if not self._room.wait_for(lambda: not self._bytes or self._bytes + size <= BUFFER_BYTES, ANSWER_S):
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


class KafkaTails:
    """One consumer that reads any partition from any offset: no group, no reset, no commit. Thread-safe.

    Args:
        cluster: the brokers.
        stale_s: how old the end may be that :meth:`read` believes. Above 0 the ends of all partitions that this has
            handed out are asked for together: who follows many asks once a round, not once a partition.
    """

    def __init__(self, cluster: KafkaCluster, stale_s: float = 0.0) -> None:
        self.cluster = cluster
        self._lock = threading.RLock()
        self._stale_s = stale_s
        self._ends: dict[str, tuple[float, dict[Any, int]]] = {}  # by topic: asked for when, and the answer
        self._followed: set[Any] = set()
        self._consumer: Any = None
        self._at: tuple[Any, int] | None = None  # the partition it is set to, and the offset that comes next

    def __call__(self, topic: str, partition: int) -> KafkaTail:
        """A reader of this partition over this connection."""
        self._followed.add(TopicPartition(topic, partition))
        return KafkaTail(self, topic, partition)

    def begin(self, at: Any) -> int:
        """The first offset held."""
        with self._asked(f"where {_name(at)} begins") as consumer:
            return int(consumer.beginning_offsets([at], timeout_ms=int(ANSWER_S * 1000))[at])

    def end(self, at: Any) -> int:
        """The offset of the next record."""
        with self._asked(f"where {_name(at)} ends") as consumer:
            return int(consumer.end_offsets([at], timeout_ms=int(ANSWER_S * 1000))[at])

    def ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """The offset of the next record of each, asked for together."""
        found = self._ask_ends([TopicPartition(topic, partition) for partition in partitions]) if partitions else {}
        return {at.partition: end for at, end in found.items()}

    def read(self, at: Any, offset: int, limit: int, wait_s: float) -> list[KafkaRecord]:
        """See :meth:`KafkaTail.read`."""
        with self._asked(f"to read {_name(at)} from {offset}") as consumer:
            try:
                end = self._end_seen(at, offset) if wait_s <= 0 else offset
                if wait_s <= 0 and offset == end:
                    return []  # without turning the consumer to this partition
                self._seek(consumer, at, offset)
                records = self._poll(consumer, at, offset, end, limit, wait_s)
            except kafka_errors.OffsetOutOfRangeError as error:
                self._at = None
                raise _out_of_range(at, offset, self.begin(at), self.end(at)) from error
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
        """What comes within ``wait_s``; beyond it only what is known to be there is waited for."""
        deadline_s = time.monotonic() + max(wait_s, 0.0) + ANSWER_S
        while True:
            if offset < end or wait_s > 0:
                pause_s = ANSWER_S if offset < end else wait_s
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

    def _end_seen(self, at: Any, offset: int) -> int:
        """The end, or what it was no longer ago than is allowed, but never before what was read already."""
        if not self._stale_s:
            return self.end(at)
        asked_s, ends = self._ends.get(at.topic, (-math.inf, {}))
        if time.monotonic() - asked_s > self._stale_s:
            ends = self._ask_ends(sorted(other for other in self._followed if other.topic == at.topic))
            self._ends[at.topic] = (time.monotonic(), ends)
        end = ends.get(at, -1)  # one that was not asked for with the others
        return end if end >= offset else self.end(at)

    def _ask_ends(self, partitions: Sequence[Any]) -> dict[Any, int]:
        with self._asked("where partitions end") as consumer:
            ends = consumer.end_offsets(partitions, timeout_ms=int(ANSWER_S * 1000))
            return {at: int(end) for at, end in ends.items()}

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[Any]:
        with self._lock:
            if self._consumer is None:
                self._consumer = self.cluster.connect(
                    KafkaConsumer,
                    group_id=None,
                    enable_auto_commit=False,
                    auto_offset_reset="none",
                    max_partition_fetch_bytes=_FETCH_BYTES,
                    fetch_max_wait_ms=_FETCH_WAIT_MS,
                    request_timeout_ms=int(ANSWER_S * 1000),
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
        self._tails, self._at = tails, TopicPartition(topic, partition)

    def begin(self) -> int:
        """The first offset still held (= :meth:`end` when nothing is)."""
        return self._tails.begin(self._at)

    def end(self) -> int:
        """The offset the next record will get."""
        return self._tails.end(self._at)

    def read(self, offset: int, limit: int, wait_s: float = 0.0) -> list[KafkaRecord]:
        """At most ``limit`` records from ``offset`` on, in order; compacted topics have holes.

        Empty only at the end: when there is nothing beyond ``offset``, and nothing came within ``wait_s``.

        Raises:
            LogBroken: ``offset`` lies before :meth:`begin` or beyond :meth:`end`.
            Transient: the brokers do not answer.
        """
        return self._tails.read(self._at, offset, limit, wait_s)

    def close(self) -> None:
        """Close the connection, also that of other readers over it; the next read opens it again."""
        self._tails.close()


def _out_of_range(at: Any, offset: int, begin: int, end: int) -> LogBroken:
    if offset < begin:
        return LogBroken(f"{_name(at)}: offset {offset} is gone, the first one held is {begin}")
    return LogBroken(
        f"{_name(at)}: offset {offset} lies beyond the end, {end}: the topic was truncated, or made again by its name"
    )


def _name(at: Any) -> str:
    return f"{at.topic}/{at.partition}"
