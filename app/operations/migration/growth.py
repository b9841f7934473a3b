"""A district's log into a new one with another number of partitions; incidents and inventory stay where they are.

The new log is judged from its start and comes to the finding ids that the incidents know, so nobody is told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from app.operations.migration.carry import PartitionState, check_drained, newest_of
from app.operations.migration.machine import MigrationResult
from app.operations.migration.new_log import NewLog
from app.operations.migration.rehash import SourcePartition, rehashed
from app.settings.settings import Settings
from app.wiring.district import log_partitions, open_cluster, topic_names
from app.wiring.stores import open_incidents
from contracts.errors import ConfigurationError
from incidents.store.counters import current
from streams.checkpoints.findings_topic import KafkaFindings
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.kafka import KafkaCluster, KafkaSender, KafkaTails
from streams.log.kafka.kafka_log import KafkaLogReader, KafkaLogWriter

LAGS_MS = 60_000
"""Time in partitions that become one may lie this far apart where the log ends; quiet ones are told it every second."""


def migrate_district(
    old: Settings, new: Settings, on_progress: Callable[[str], None] = lambda _line: None
) -> MigrationResult:
    """Copy the log; safe to repeat after a kill.

    Args:
        old: of the district as it was: none of its processes may run.
        new: of the district as it shall be: with another ``kafka.prefix``, whose topics must have been made.

    Raises:
        ConfigurationError: something runs, is behind or missing, or the target holds something else.
        LogBroken: what was written could not be read back.
        Transient: a server does not answer; start again.
    """
    with ExitStack() as opened:
        target = opened.enter_context(open_cluster(new, "linli-migrate"))
        log = _OldLog(opened.enter_context(open_cluster(old, "linli-migrate-from")), old, opened)
        if target.topic_id(topic_names(new).log) == log.identity():
            raise ConfigurationError("--from and --config name the same log: set another kafka.prefix for the new one")
        _check_taken(new, log.findings())
        into = NewLog(target, new)
        if into.partitions % log.partitions:
            log.check_time()
        ends = log.ends()
        states = log.states()
        sites = [row.site_id for state in states for row in state.rows]
        copies = into.fill(rehashed(log.sources(), into.partitions, sites), on_progress)
        if log.ends() != ends:
            raise ConfigurationError("something has written into the old log meanwhile: end it, then migrate again")
        return MigrationResult(log=copies, carried_sites=into.carry(states))


class _OldLog:
    """All partitions of the log that is left behind, and what is kept of each."""

    def __init__(self, cluster: KafkaCluster, settings: Settings, opened: ExitStack) -> None:
        self._cluster, self._names = cluster, topic_names(settings)
        self.partitions = log_partitions(cluster, settings)
        self._tails: KafkaTails = cluster.tails()
        opened.callback(self._tails.close)
        self._sender: KafkaSender = cluster.producer()
        opened.callback(self._sender.close)
        self._logs = [KafkaLogReader(cluster, self._names.log, p, self._tails) for p in range(self.partitions)]

    def identity(self) -> str:
        return self._cluster.topic_id(self._names.log)

    def ends(self) -> list[int]:
        return [log.end() for log in self._logs]

    def findings(self) -> list[KafkaFindings]:
        return [KafkaFindings(self._cluster, self._names.findings, p, self._tails) for p in range(self.partitions)]

    def sources(self) -> list[SourcePartition]:
        return [SourcePartition(log, self._keep(number).skipped()) for number, log in enumerate(self._logs)]

    def states(self) -> list[PartitionState]:
        """Return the rules' state of all partitions at the log's end, where one does not begin at its beginning."""
        if not any(log.begin() for log in self._logs):
            return []
        states = []
        for number, log in enumerate(self._logs):
            if log.end():
                keep = self._keep(number)
                manifest = check_drained(newest_of(keep.manifests().values()), log.end(), "`linli streams run`")
                states.append(PartitionState(keep.load(manifest.digest)[0], manifest))
        return states

    def check_time(self) -> None:
        """Raise unless partitions that become one end at about the same time: the last one holds back the others."""
        told = {}
        for number, log in enumerate(self._logs):
            if log.end() > log.begin():
                writer = KafkaLogWriter(self._cluster, self._names.log, [number], self._sender)
                told[number] = writer.last_watermark_ms()
        if told and max(told.values()) - min(told.values()) > LAGS_MS:
            last, first = min(told, key=lambda p: told[p]), max(told, key=lambda p: told[p])
            raise ConfigurationError(
                f"time in partition {last} ends {(told[first] - told[last]) // 1000} s before that in partition "
                f"{first}: start its shard until it has caught up, or migrate into a multiple of {self.partitions} "
                "partitions, where none waits for another"
            )

    def _keep(self, partition: int) -> KafkaCheckpointStore:
        return KafkaCheckpointStore(self._cluster, self._names, partition, sender=self._sender, tails=self._tails)


def _check_taken(new: Settings, findings: Sequence[KafkaFindings]) -> None:
    """Raise unless the incidents of the new district are those of the old one, and know all that was found."""
    incidents = open_incidents(new)
    try:
        with incidents.read() as reading:
            behind = [f.identity() for f in findings if current(reading, f"intake/{f.identity()}") < f.end()]
    finally:
        incidents.close()
    if behind:
        raise ConfigurationError(
            f"the incidents in {incidents.where} have not taken all findings of {', '.join(behind)}: incidents.url "
            "must be the old district's; start its `linli incidents run` until it has caught up, end it, then migrate"
        )
