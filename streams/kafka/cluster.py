"""The brokers behind one URL: their topics, and who sends to them and reads from them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from kafka import KafkaAdminClient, TopicPartition  # type: ignore[import-untyped]
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, UserScramCredentialUpsertion  # type: ignore[import-untyped]
from kafka.net.compat import KafkaNetClient  # type: ignore[import-untyped]
from kafka.structs import OffsetAndMetadata  # type: ignore[import-untyped]

from contracts.errors import ConfigurationError, LinliError, LogBroken, Permanent, Transient
from contracts.secret_urls import shown_url
from contracts.secrets import Secret
from streams.broker_security import KafkaSecurity, SaslMechanism
from streams.kafka.follower import KafkaFollower
from streams.kafka.sender import KafkaSender
from streams.kafka.tails import KafkaTail, KafkaTails
from streams.topics import TopicSpec, TopicState

DEFAULT_PORT = 9092
ANSWER_S = 10.0
"""How long brokers may take to answer a question before they count as away."""
_RECONNECT_MAX_MS = 1_000  # or a broker that is back is found half a minute late
_SEND_AGAIN = (  # the client lost its place with the broker and takes a new one; appending again is the remedy
    kafka_errors.OutOfOrderSequenceNumberError,
    kafka_errors.UnknownProducerIdError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.ProducerFencedError,
)
_REFUSED = (kafka_errors.AuthorizationError, kafka_errors.UnsupportedSaslMechanismError)
_PASSWORD = kafka_errors.SaslAuthenticationFailedError
_TROUBLE_S = 10.0
"""How long what is wrong with a certificate is believed, before a broker is asked again."""


def parse_kafka_url(url: str) -> list[str]:
    """Return the ``host:port`` of every broker named in ``kafka://host:port[,host:port…]``.

    Raises:
        ConfigurationError: it is no such URL.

    >>> parse_kafka_url("kafka://a:1,b")
    ['a:1', 'b:9092']
    """
    wrong = ConfigurationError(f"{shown_url(url)!r} is no Kafka URL; expected kafka://host:port[,host:port…]")
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
        security: who the brokers must be, and who we are there; None: in clear, and nobody.
        answer_s: how long they may take to answer before they count as away.

    Raises:
        ConfigurationError: the URL is none, or a file of TLS cannot be used.
    """

    def __init__(
        self, url: str, client_id: str = "linli", security: KafkaSecurity | None = None, *, answer_s: float = ANSWER_S
    ) -> None:
        self.servers = parse_kafka_url(url)
        self.answer_s = answer_s
        self._client_id = client_id
        self._security = security or KafkaSecurity()
        self._proving = self._security.client_settings()
        self._was_let_in = False  # who is refused later waits: the password is being exchanged
        self._trouble = ("", -math.inf)  # what was wrong with a broker's certificate, and when that was asked
        self._lock = threading.RLock()
        self._admin: Any = None
        self._opened: set[KafkaSender | KafkaTails] = set()

    def __enter__(self) -> KafkaCluster:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    # --- topics -------------------------------------------------------------------------------------------------------

    def brokers(self) -> int:
        """Return how many brokers there are."""
        return len(self._ask("its brokers", lambda admin: admin.describe_cluster())["brokers"])

    def topic_id(self, topic: str) -> str:
        """Return what tells this topic from another one of the same name; a topic that is made again has another.

        Raises:
            ConfigurationError: there is no such topic.
        """
        return str(self._described(topic)["topic_id"])

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has.

        Raises:
            ConfigurationError: there is no such topic.
        """
        return len(self._described(topic)["partitions"])

    def topic_state(self, topic: str) -> TopicState | None:
        """Return a topic with its whole configuration, None when there is no such topic."""
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

    def takes_password(self) -> bool:
        """Return whether a broker takes the password of our account.

        Raises:
            ConfigurationError: it refuses us for another reason. Transient: none answers.
        """
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        deadline_s = time.monotonic() + self.answer_s
        while (failure := self._first_answer()) is not None and not isinstance(failure, _PASSWORD):
            if time.monotonic() > deadline_s:
                raise self.failure("to log in", failure)
            time.sleep(0.1)  # one that is busy may hang up before it has said why
        return failure is None

    def set_password(self, user: str, mechanism: SaslMechanism, password: Secret) -> None:
        """Give an account another password for SCRAM. It is salted here: the brokers never see it.

        Raises:
            Permanent: they refuse.
        """
        wanted = UserScramCredentialUpsertion(user, mechanism.value, password.reveal())
        answer = self._ask(f"to change {user}", lambda admin: admin.alter_user_scram_credentials([wanted]))
        if wrong := answer.get(user):
            raise Permanent(f"Kafka at {','.join(self.servers)} refuses (to change {user}): {wrong}")

    def configure_topic(self, topic: str, config: Mapping[str, str]) -> None:
        """Set these keys of a topic, leaving its others."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))
        self._ask(f"to configure {topic}", lambda admin: admin.alter_configs([resource]))

    def delete_topic(self, topic: str) -> None:
        """Remove a topic and everything in it."""
        self._ask(f"to delete {topic}", lambda admin: admin.delete_topics([topic]))

    # --- records ------------------------------------------------------------------------------------------------------

    def group_members(self, group: str) -> int:
        """Return how many consumers are in a group at this moment."""
        found = self._ask(f"about group {group}", lambda admin: admin.describe_groups([group]))
        described = found[group] if isinstance(found, Mapping) else found[0]
        members = described["members"] if isinstance(described, Mapping) else described.members
        return len(members)

    def tell_offsets(self, group: str, topic: str, offsets: Mapping[int, tuple[int, str]]) -> None:
        """Leave partition → (offset, note) with the brokers, in a group without members. Nobody goes on from there."""
        told = {TopicPartition(topic, number): OffsetAndMetadata(*at, -1) for number, at in offsets.items()}
        refused = self._ask(f"to keep offsets of {group}", lambda admin: admin.alter_group_offsets(group, told))
        for error in refused.values():
            if error is not kafka_errors.NoError:
                raise self.failure(f"to keep offsets of {group}", error())

    def told_offsets(self, group: str, topic: str) -> dict[int, tuple[int, str]]:
        """Return what :meth:`tell_offsets` left last: partition → (offset, note)."""
        found = self._ask(f"about offsets of {group}", lambda admin: admin.list_group_offsets({group: None}))[group]
        return {at.partition: (kept.offset, kept.metadata or "") for at, kept in found.items() if at.topic == topic}

    def producer(self, *, compress: bool = False) -> KafkaSender:
        """Return a sender of its own connection, closed with the cluster. ``compress`` what is not compressed yet."""
        return KafkaSender(self, compress=compress)

    def tail(self, topic: str, partition: int) -> KafkaTail:
        """Return a reader of one partition with a connection of its own; closed with the cluster."""
        return self.tails()(topic, partition)

    def tails(self) -> KafkaTails:
        """Open readers that share one connection and take turns: for looking into many partitions, not for waiting."""
        return KafkaTails(self)

    def follower(self, stale_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> KafkaFollower:
        """Open readers that share one connection and what a fetch brings: for who goes along with many partitions."""
        return KafkaFollower(self, stale_s, monotonic_s)

    def close(self) -> None:
        """Close everything that was opened here; what was sent and is not durable is given up."""
        with self._lock:
            opened = list(self._opened)
            admin, self._admin = self._admin, None
        for one in opened:
            one.close()
        if admin is not None:
            admin.close()

    # --- for the classes of this package -----------------------------------------------------------------------------

    def opened(self, one: KafkaSender | KafkaTails) -> None:
        """Note that this one has a connection now, to be closed with the cluster."""
        with self._lock:
            self._opened.add(one)

    def closed(self, one: KafkaSender | KafkaTails) -> None:
        """Note that this one has none any more."""
        with self._lock:
            self._opened.discard(one)

    def connect(self, kind: Callable[..., Any], **settings: object) -> Any:
        """Return a client of ``kind``. What fails half-way leaves no thread behind, as the client itself would."""
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # every failure reaches us as an exception, once
        clients: list[Any] = []

        def client(**configs: object) -> Any:
            clients.append(KafkaNetClient(**configs))
            return clients[-1]

        if trouble := self._trouble_with_tls(every=True):
            raise Transient(f"Kafka at {','.join(self.servers)} does not answer (to connect): {trouble}")
        try:
            opened = kind(
                bootstrap_servers=self.servers,
                client_id=self._client_id,
                bootstrap_timeout_ms=int(self.answer_s * 1000),
                reconnect_backoff_max_ms=_RECONNECT_MAX_MS,
                kafka_client=client,
                **self._proving,
                **settings,
            )
        except kafka_errors.KafkaError as error:
            for one in clients:
                one.close()
            raise self.failure("to connect", self._refusal_or_none() or error) from error
        self._was_let_in = True
        return opened

    def failure(self, what: str, error: Exception) -> LinliError:
        """Return which of our errors one of the client's is; name the brokers and what was asked of them."""
        where = f"Kafka at {','.join(self.servers)}"
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if isinstance(error, kafka_errors.KafkaTimeoutError | kafka_errors.KafkaConnectionError):
            hint = f"; or it does not offer kafka.mechanism {self._security.mechanism}" if self._security.user else ""
            return Transient(f"{where} does not answer ({what}): {self._trouble_with_tls() or told + hint}")
        if isinstance(error, _PASSWORD):
            remedy = "the user or password in kafka.password_file is not what the brokers have for kafka.mechanism"
            told = f"{where} refuses us ({what}): {remedy}; correct either"
            return Transient(told) if self._was_let_in else ConfigurationError(told)
        if isinstance(error, _REFUSED):
            unknown = isinstance(error, kafka_errors.UnsupportedSaslMechanismError)
            allow = f"allow {self._client_id!r} to do this"
            remedy = f"it does not offer kafka.mechanism {self._security.mechanism}" if unknown else allow
            return ConfigurationError(f"{where} refuses us ({what}): {told}; {remedy}")
        if isinstance(error, kafka_errors.LogTruncationError):
            return LogBroken(f"{where} lost records that were read already ({what}): {told}")
        if getattr(error, "retriable", False) or isinstance(error, _SEND_AGAIN):
            return Transient(f"{where} cannot do it now ({what}): {told}")
        return Permanent(f"{where} refuses ({what}): {told}")

    def _refusal_or_none(self) -> Exception | None:
        """Ask up to three times: a broker that is busy may hang up before it has said why."""
        return next(filter(None, (self._refusal() for _ in range(3))), None)

    def _refusal(self) -> Exception | None:
        """Return why a broker does not let us in, asked on a connection of its own; None when it does, or is away.

        The client keeps it to itself while it makes its first connection, and then says that nobody answered.
        """
        failure = self._first_answer() if self._security.user else None
        return failure if isinstance(failure, (_PASSWORD, *_REFUSED)) else None

    def _first_answer(self) -> Exception | None:
        """Return what comes of one connection, opened for this alone: None when a broker lets us in."""
        asked = KafkaNetClient(bootstrap_servers=self.servers, client_id=self._client_id, **self._proving)
        try:
            connection = asked._manager.get_connection(asked.cluster.bootstrap_brokers()[0].node_id)
            deadline_s = time.monotonic() + ANSWER_S
            while not connection.init_future.is_done and time.monotonic() < deadline_s:
                asked._net.poll(timeout_ms=500, future=connection.init_future)
            silent: Exception = kafka_errors.KafkaTimeoutError("no answer in time")
            answered: Exception | None = connection.init_future.exception
            return answered if connection.init_future.is_done else silent
        finally:
            asked.close()

    def _trouble_with_tls(self, *, every: bool = False) -> str:
        """Return what is wrong with a broker's certificate, or ours: their client only says that nobody answers.

        ``every``: asked now, and only what is wrong with all of them; one that is well is enough to go on.
        """
        said, asked_s = self._trouble
        if every or time.monotonic() - asked_s > _TROUBLE_S:
            found = [self._security.trouble_with(server) for server in self.servers]
            said = next(filter(None, found), "")
            self._trouble = (said, time.monotonic())
            if every and not all(found):
                return ""
        return said

    def _ask(self, what: str, question: Callable[[Any], Any], expected: type[Exception] | None = None) -> Any:
        """Return the answer to one question; asked again while the brokers are unsettled, as long as it may take."""
        deadline_s = time.monotonic() + self.answer_s
        while True:
            try:
                with self._lock:
                    if self._admin is None:
                        self._admin = self.connect(KafkaAdminClient, request_timeout_ms=int(self.answer_s * 1000))
                    return question(self._admin)
            except kafka_errors.KafkaError as error:
                if expected is not None and isinstance(error, expected):
                    raise
                failure = self.failure(what, error)
                if not isinstance(failure, Transient) or time.monotonic() >= deadline_s:
                    raise failure from error
            time.sleep(0.1)  # brokers that are electing do not say when they are done

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
