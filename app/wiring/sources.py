"""What the incidents' and the console's processes read, as ``log.url`` says: Kafka's topics, or a folder's files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from app.settings.settings import Settings
from app.wiring.district import is_district, log_partitions, open_cluster, topic_names
from incidents.intake.intake import Intake
from incidents.intake.relays import FindingsRelay, Relay
from incidents.intake.topic_relay import TopicRelay, watch_topic
from streams.checkpoints.findings_topic import KafkaFindings
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.kafka import FOLLOW_STALE_S, ROUNDS_STALE_S
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.log.port import LogReader

IntakeFor = Callable[[str], Intake]
"""Gives the intake of a source, by the source's identity."""


class FindingRelays:
    """The relays of every source of findings by the source's identity, and what must be watched meanwhile."""

    def __init__(
        self,
        relays: dict[str, Relay],
        close: Callable[[], object],
        watch: Callable[[threading.Event], object] = threading.Event.wait,
    ) -> None:
        self.relays = relays
        self.close = close
        self.watch = watch


class LogReaders:
    """The readers of every partition of a log."""

    def __init__(self, readers: Sequence[LogReader], close: Callable[[], object]) -> None:
        self.readers = readers
        self.close = close


def open_findings(settings: Settings, intake_for: IntakeFor) -> FindingRelays:
    """Return every source of findings that ``log.url`` has.

    Raises:
        ConfigurationError: there is none; says what to do. Transient: the brokers do not answer.
    """
    if is_district(settings):
        return _topic(settings, intake_for)
    store = SqliteCheckpointStore(settings.log.folder() / "engine.db")
    return FindingRelays({store.identity(): FindingsRelay(store, intake_for(store.identity()))}, store.close)


def open_logs(settings: Settings) -> LogReaders:
    """Return every partition of a log that other processes write; a folder's log is read by its one process alone.

    Raises:
        ConfigurationError: the topic is missing or another; says what to do. Transient: the brokers do not answer.
    """
    if not is_district(settings):
        return LogReaders([], lambda: None)
    cluster = open_cluster(settings, "linli-console")
    try:
        partitions, tails = range(log_partitions(cluster, settings)), cluster.follower(ROUNDS_STALE_S)
        return LogReaders(
            [KafkaLogReader(cluster, topic_names(settings).log, p, tails) for p in partitions], cluster.close
        )
    except BaseException:
        cluster.close()
        raise


def _topic(settings: Settings, intake_for: IntakeFor) -> FindingRelays:
    cluster, topic = open_cluster(settings, "linli-incidents"), topic_names(settings).findings
    try:
        topic_id, tails = cluster.topic_id(topic), cluster.follower(FOLLOW_STALE_S)
        relays = dict[str, Relay]()
        for number in range(cluster.partitions(topic)):
            findings = KafkaFindings(cluster, topic, number, tails)
            identity = findings.identity()
            relays[identity] = TopicRelay(findings, intake_for(identity), tails(topic, number).begin)
        return FindingRelays(relays, cluster.close, partial(watch_topic, cluster, topic, topic_id))
    except BaseException:
        cluster.close()
        raise
