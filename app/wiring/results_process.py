"""``linli results run``: what a district's log, findings and incidents say, into the store of results. One process."""

from __future__ import annotations

from functools import partial

import structlog

from app.settings.settings import Settings
from app.wiring.district import is_district, log_partitions, open_cluster, topic_names
from app.wiring.folder_lock import FolderLock
from app.wiring.incidents_process import open_stores
from app.wiring.metrics_server import Metrics
from app.wiring.process import ProcessContext
from app.wiring.results import ResultsService
from contracts.errors import ConfigurationError
from incidents.intake.topic_relay import watch_topic
from incidents.monitor.store_monitor import StoreMonitor
from streams.checkpoints.findings_topic import KafkaFindings
from streams.kafka import ROUNDS_STALE_S, KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogReader

LOG = structlog.get_logger("linli")
READ_RECORDS = 500


def wire_results(settings: Settings, context: ProcessContext) -> None:
    """Start everything of this process.

    Raises:
        ConfigurationError: a setting cannot be used, or another process has the spool.
    """
    if not is_district(settings):
        raise ConfigurationError(
            f"log.url = {settings.log.url!r} is one machine's log: `linli run` carries its results itself"
        )
    lock = FolderLock(settings.results.spool.parent, "results.spool", "results.lock")
    lock.__enter__()
    context.on_exit(lambda: lock.__exit__(None, None, None))
    incidents, _, directory = open_stores(settings, context)
    cluster = open_cluster(settings, "linli-results")
    context.on_exit(cluster.close)
    partitions = range(context.wait_for("log", lambda: log_partitions(cluster, settings)))
    _watch(settings, cluster, context)
    topics, tails = topic_names(settings), cluster.follower(ROUNDS_STALE_S)
    service = ResultsService(
        settings,
        logs=[KafkaLogReader(cluster, topics.log, n, tails) for n in partitions],
        findings=[
            (KafkaFindings(cluster, topics.findings, n, tails), tails(topics.findings, n).begin) for n in partitions
        ],
        incidents=incidents,
        book=directory,
        read_records=READ_RECORDS,
    )
    context.on_exit(service.close)
    metrics = Metrics("results")
    metrics.add_figures(service.figures)
    metrics.serve(settings)
    context.on_exit(metrics.close)
    service.start(context.threads)
    spool = settings.results.spool
    context.threads.keep("stores", StoreMonitor(incidents, lambda: [spool], {}).run)
    LOG.info("ready", results=str(settings.results.url).partition("?")[0], partitions=len(partitions))


def _watch(settings: Settings, cluster: KafkaCluster, context: ProcessContext) -> None:
    """End the process when a topic was made again: that is another source, and the process begins anew with it."""
    for topic in (topic_names(settings).log, topic_names(settings).findings):
        topic_id = context.wait_for(topic, partial(cluster.topic_id, topic))
        context.threads.keep(f"watch-{topic}", partial(watch_topic, cluster, topic, topic_id))
