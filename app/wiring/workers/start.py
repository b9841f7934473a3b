"""How ``linli streams run`` starts: a supervisor over a worker, which is this very command with ``--report-to``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import structlog
from prometheus_client import CollectorRegistry

from app.settings.settings import Settings
from app.wiring.children import linli_arguments
from app.wiring.district import kafka_security, open_cluster, topic_names
from app.wiring.engine import shown_times
from app.wiring.metrics_server import Metrics
from app.wiring.reference_key import reference_key
from app.wiring.workers.supervisor import CRASHED, Supervisor
from app.wiring.workers.worker import WorkerSettings, run_worker
from contracts.errors import ConfigurationError, LinliError
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.findings_topic import PartitionAlarm, encode_findings_record
from streams.checkpoints.kafka import FindingLost
from streams.runtime.progress import Stuck
from system.clock import wall_ms

LOG = structlog.get_logger("linli")


def start_worker(settings: Settings, *, accept_cut: bool = False, report_to: int | None = None) -> NoReturn:
    """Be one worker; the process ends with it."""
    worker = WorkerSettings(
        url=settings.log.url,
        names=topic_names(settings),
        partitions=settings.kafka.partitions,
        accept_cut=accept_cut,
        security=kafka_security(settings),
        reference_key=reference_key(settings),
    )
    metrics, registry = Metrics("streams"), CollectorRegistry()
    times = shown_times(metrics)
    metrics.add(registry)
    metrics.serve(settings)
    run_worker(worker, code_of, report_to=report_to, registry=registry, times=times)


def code_of(failure: Exception | None) -> int:
    """Return the exit code of a worker that ended so: 0 drained, 1 or 2 for a person to fix, 70 to be started again."""
    match failure:
        case None:
            return 0
        case FindingLost():
            LOG.error("finding_lost", reason=str(failure))
            return CRASHED
        case LinliError():
            LOG.error("worker_ends", reason=str(failure))
            return 2 if isinstance(failure, ConfigurationError) else 1
        case _:
            LOG.error("worker_crashed", reason=repr(failure), exc_info=failure)
            return CRASHED


def start_supervisor(settings: Settings, arguments: Sequence[str]) -> int:
    """Keep a worker with these arguments of ``linli`` going; the exit code."""
    open_cluster(settings, "check").close()  # a wrong URL is refused at once
    return Supervisor(linli_arguments(*arguments), lambda stuck: _tell(settings, stuck)).run()


def _tell(settings: Settings, stuck: Stuck) -> None:
    """Raise an operator alarm by the findings topic, as far as the brokers answer."""
    partition = stuck.partition or 0
    alarm = PartitionAlarm(DriverAlarm.PARTITION_STUCK, partition, stuck.why, wall_ms())
    try:
        with open_cluster(settings, "linli-streams-supervisor") as cluster:
            sender = cluster.producer()
            sender.send(topic_names(settings).findings, partition, encode_findings_record(alarm)).wait(10.0)
    except LinliError as error:
        LOG.error("alarm_not_sent", alarm=alarm.alarm.value, detail=alarm.detail, reason=str(error))
