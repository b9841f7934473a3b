"""Everything the rules found so far, from wherever the log's findings lie: each once, by site, in order of decision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from app.settings.settings import Settings
from app.wiring.district import is_district, open_cluster, topic_names
from contracts.errors import ConfigurationError
from contracts.findings import Finding
from streams.checkpoints.findings_topic import KafkaFindings
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.kafka import KafkaCluster
from streams.topics import TopicNames

_READ = 1_000


def findings_by_site(settings: Settings) -> dict[str, list[Finding]]:
    """Return each site's findings up to the end at this moment, sites in order of their names.

    Raises:
        ConfigurationError: there are none to read there.
        LinliError: they cannot be read.
    """
    sites: dict[str, list[Finding]] = {}
    known: set[str] = set()
    for finding in _all(settings):
        if finding.finding_id not in known:  # a worker that died repeats what it had sent
            known.add(finding.finding_id)
            sites.setdefault(finding.site_id, []).append(finding)
    return dict(sorted(sites.items()))


def _all(settings: Settings) -> Iterator[Finding]:
    if is_district(settings):
        with open_cluster(settings, "linli-findings") as cluster:
            yield from kafka_findings(cluster, topic_names(settings))
        return
    path = settings.log.folder() / "engine.db"
    if not path.exists():
        raise ConfigurationError(f"there is no engine.db in {path.parent}; log.url names the folder of `linli run`")
    with closing(SqliteCheckpointStore(path)) as store:
        n = 0
        while found := store.findings_after(n, _READ):
            yield from (finding for _, finding in found)
            n = found[-1][0]


def kafka_findings(cluster: KafkaCluster, names: TopicNames) -> Iterator[Finding]:
    """Yield every finding of every partition up to its end at this moment, repetitions included."""
    tails = cluster.tails()
    partitions = [
        KafkaFindings(cluster, names.findings, partition, tails)
        for partition in range(cluster.partitions(names.findings))
    ]
    for partition, end in [(partition, partition.end()) for partition in partitions]:
        n = 0
        while n < end and (said := partition.records_after(n, _READ)):
            yield from (one for number, one in said if number <= end and isinstance(one, Finding))
            n = said[-1][0]
