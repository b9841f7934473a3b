"""What every process of a district shares: the brokers behind ``log.url``, the names of its topics, their number."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.settings.secret_files import read_pair
from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from contracts.extras import not_installed
from contracts.secrets import Secret
from streams.broker_security import KafkaSecurity
from streams.topics import TopicNames, TopicSpec, topic_specs
from system.tls import TlsFiles

if TYPE_CHECKING:
    from streams.kafka import KafkaCluster

MOST_COPIES = 3


def is_district(settings: Settings) -> bool:
    """Return whether the log is on Kafka."""
    return settings.log.on_kafka


def open_cluster(settings: Settings, client_id: str) -> KafkaCluster:
    """Return the brokers; nothing is asked of them yet.

    Raises:
        ConfigurationError: ``log.url`` is no Kafka URL, or the client is not installed.
    """
    if not is_district(settings):
        raise ConfigurationError(
            f"log.url = {settings.log.url!r} is one machine's log, which `linli run` serves; "
            "a district needs kafka://host:port[,host:port…]"
        )
    try:
        from streams.kafka import KafkaCluster  # one machine needs neither its packages nor the time to import them
    except ImportError as error:
        raise not_installed(error) from None
    return KafkaCluster(settings.log.url, client_id, kafka_security(settings))


def kafka_security(settings: Settings) -> KafkaSecurity:
    """Return who the brokers must be, and who we are there.

    Raises:
        ConfigurationError: the file of the password cannot be read, or is none.
    """
    kafka = settings.kafka
    if not kafka.tls:
        return KafkaSecurity()
    files = TlsFiles(table="kafka", ca_file=kafka.ca_file, cert_file=kafka.cert_file, key_file=kafka.key_file)
    if kafka.password_file is None:
        return KafkaSecurity(tls=files)
    user, password = read_pair(kafka.password_file, "kafka.password_file")
    return KafkaSecurity(
        tls=files,
        user=user,
        password=password,
        mechanism=kafka.mechanism,
        passwords_now=partial(_passwords_now, kafka.password_file),
    )


def _passwords_now(path: Path) -> list[Secret]:
    return [read_pair(path, "kafka.password_file")[1]]


def topic_names(settings: Settings) -> TopicNames:
    """Return the names of its topics."""
    return TopicNames(settings.kafka.prefix)


def wanted_topics(settings: Settings, brokers: int) -> list[TopicSpec]:
    """Return its topics as they must be where there are so many brokers."""
    return topic_specs(
        topic_names(settings),
        partitions=settings.kafka.partitions,
        replication=settings.kafka.replication or min(MOST_COPIES, brokers),
        retention_hours=settings.log.retention_days * 24,
        retention_bytes=settings.kafka.retention_bytes or -1,
    )


def log_partitions(cluster: KafkaCluster, settings: Settings) -> int:
    """Return how many partitions the log has.

    Raises:
        ConfigurationError: the topic is missing, or has another number than is configured.
        Transient: the brokers do not answer.
    """
    topic, wanted = topic_names(settings).log, settings.kafka.partitions
    found = cluster.partitions(topic)
    if found != wanted:
        raise ConfigurationError(
            f"{topic} has {found} partitions, kafka.partitions is {wanted}: where a site's events lie depends on it; "
            "set kafka.partitions to what is there, or begin a new log under another kafka.prefix"
        )
    return found
