"""A district: brokers and topics, the partitions' snapshots, the workers' group, and how far readers are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from app.operations.doctor.machine import BEHIND, FIRST_SNAPSHOT_S, failed, newest, standing, unsaved
from app.operations.doctor.report import Check, CheckResult, Level, age, fail, ok, warn
from app.settings.settings import Settings
from app.wiring.district import log_partitions, open_cluster, topic_names, wanted_topics
from app.wiring.stores import open_incidents_database
from contracts.durations import DAY_MS
from incidents.store.counters import current
from streams.checkpoints.findings_topic import KafkaFindings
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.engine.manifest import decode_manifest
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.topics import differences
from system.clock import wall_ms

ANSWER_S = 4.0
NEARLY = 0.5
"""Of the log's retention: a reader further behind than this is soon overtaken."""


def checks_of(settings: Settings) -> list[Check]:
    """Return the checks of a district."""
    start = "start the brokers that log.url names"
    return [
        Check("kafka", lambda: topics(settings), start),
        Check("partitions", lambda: partitions(settings), start, ("kafka",)),
        Check("workers", lambda: workers(settings), start, ("kafka",)),
        Check("readers", lambda: readers(settings), "start brokers and database", ("kafka", "incidents")),
    ]


def brokers_of(settings: Settings) -> KafkaCluster:
    """Return the brokers; what does not answer at once is away, since people wait."""
    cluster = open_cluster(settings, "linli-doctor")
    cluster.answer_s = ANSWER_S
    return cluster


def topics(settings: Settings) -> Iterator[CheckResult]:
    """Check the topics as ``linli topics check`` does."""
    with brokers_of(settings) as cluster:
        brokers = cluster.brokers()
        wrong = [
            line
            for spec in wanted_topics(settings, brokers)
            for line in differences(spec, cluster.topic_state(spec.name))
        ]
    for line in wrong:
        yield fail("kafka", line, "")
    if not wrong:
        yield ok("kafka", f"{brokers} brokers, topics as they must be")
    if brokers < 3:
        yield warn("kafka", f"{brokers} brokers: when one is lost the log waits, or is lost", "run three or more")


def partitions(settings: Settings) -> Iterator[CheckResult]:
    """Check that snapshots belong to the log, and that no partition is stopped. One line if all is well."""
    names, retention_ms = topic_names(settings), settings.log.retention_days * DAY_MS
    with brokers_of(settings) as cluster, ExitStack() as opened:
        count, log_id, tails, sender = log_partitions(cluster, settings), "", cluster.tails(), cluster.producer()
        opened.callback(tails.close)
        opened.callback(sender.close)
        log_id = cluster.topic_id(names.log)
        wrong = new = 0
        for partition in range(count):
            log = KafkaLogReader(cluster, names.log, partition, tails)
            keep = KafkaCheckpointStore(cluster, names, partition, sender=sender, tails=tails)
            manifest = newest([decode_manifest(body) for body in keep.manifests().values()])
            what, begin, end = f"partition {partition}", log.begin(), log.end()  # last: what is saved lies before it
            if manifest is None:
                told = list(unsaved(what, log, wall_ms()))
                new += bool(told)
            else:
                told = list(standing(what, manifest, begin, end, log_id=log_id, partition=partition, partitions=count))
            given_up = keep.skipped()
            told += [failed(what, at, times) for at, times in keep.failures().items() if at not in given_up]
            if manifest is not None and begin <= manifest.through < end - 1:
                told += _overtaken(what, log, manifest.through, retention_ms)
            bad = [line for line in told if line.level is not Level.OK]
            wrong += bool(bad)
            yield from bad
    if not wrong:
        yield ok("partitions", f"{count} partitions judged, none far behind{_and_new(new)}")


def _and_new(count: int) -> str:
    """Return what to say of partitions of which nothing was saved yet, as it must be."""
    return f", {count} of them new: a first snapshot comes within {FIRST_SNAPSHOT_S} s" if count else ""


def _overtaken(what: str, log: KafkaLogReader, through: int, retention_ms: int) -> Iterator[CheckResult]:
    written_ms = log.read(through, 1)[0].at_ms
    late_ms = wall_ms() - written_ms
    if late_ms > NEARLY * retention_ms:
        detail = f"judged up to {age(late_ms)} ago, the log is kept for {age(retention_ms)}"
        yield fail(what, detail, "start workers, or lengthen log.retention_days and run `linli topics create`")


def workers(settings: Settings) -> Iterator[CheckResult]:
    """Check that somebody works on the partitions."""
    names = topic_names(settings)
    with brokers_of(settings) as cluster:
        members = cluster.group_members(f"{names.prefix}streams")
        told = cluster.told_offsets(names.judged, names.log)
        ends = cluster.tails().ends(names.log, range(log_partitions(cluster, settings)))
        untold = sum(end > 0 and number not in told for number, end in ends.items())
    if not members:
        yield fail("workers", "no worker is in the group: nothing is judged", "linli streams run")
        return
    yield ok("workers", f"{members} in the group")
    if untold:
        detail = f"of {untold} partitions no worker has told how far it is: nobody would notice that nothing is judged"
        remedy = f"let the workers' account read the group {names.judged!r}; or they began just now, or are of before"
        yield warn("workers", detail, remedy)


def readers(settings: Settings) -> Iterator[CheckResult]:
    """Yield how far the incidents have read the findings."""
    database = open_incidents_database(settings)
    with brokers_of(settings) as cluster, ExitStack() as opened:
        opened.callback(database.close)
        tails = cluster.tails()
        opened.callback(tails.close)
        behind, lost = 0, []
        topic = topic_names(settings).findings
        with database.read() as connection:
            for partition in range(cluster.partitions(topic)):
                findings = KafkaFindings(cluster, topic, partition, tails)
                read = current(connection, f"intake/{findings.identity()}")
                behind += findings.end() - max(read, tails(topic, partition).begin())
                if read < tails(topic, partition).begin():
                    lost.append(partition)
        yield from _reading(cluster, behind, lost)


def _reading(cluster: KafkaCluster, behind: int, lost: list[int]) -> Iterator[CheckResult]:
    if lost:
        gone = f"findings of partitions {lost} at {','.join(cluster.servers)} were dropped before incidents read them"
        yield fail("readers", gone, "`linli docs runbook`: records were dropped before they were judged")
    elif behind > BEHIND:
        yield warn("readers", f"incidents are {behind} findings behind", "see that `linli incidents run` runs")
    else:
        yield ok("readers", f"incidents are {behind} findings behind")
