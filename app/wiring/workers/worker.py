"""One worker of the rules: partitions of the Kafka log that its group gives it, each with an engine of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import NoReturn

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from app.wiring.engine import engine_of
from contracts.erasure import UNKEYED, ReferenceKey
from contracts.errors import ConfigurationError, LinliError, LogBroken, Transient
from streams.broker_security import KafkaSecurity
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.findings_topic import PartitionAlarm, encode_findings_record
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.kafka import KafkaCluster, KafkaSender
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.runtime.decision_times import DecisionTimes
from streams.runtime.faust_app import FaustReader, ReaderSettings
from streams.runtime.metrics import WorkerMetrics
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.progress import LastMoves, PartitionProgress, WorkerProgress, encode_progress
from streams.runtime.worker import PartitionWorker
from streams.topics import TopicNames
from system.clock import wall_ms
from system.garbage import settle_garbage

LOG = structlog.get_logger("linli")
CONNECTIONS = 4
REPORT_EVERY_S = 1.0
ENDS_EVERY_S = 5.0
RETRY_S = 2.0
DRAIN_S = 9.0
FLUSH_S = 3.0


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the topics are, and of how many partitions each must be.

    ``accept_cut``: go on from a version of the rules that has not drained. ``reference_key``: by which references that
    were erased are recognised.
    """

    url: str
    names: TopicNames
    partitions: int
    accept_cut: bool = False
    security: KafkaSecurity = KafkaSecurity()
    reference_key: ReferenceKey = UNKEYED


class DriverFactory:
    """Makes drivers: connections are shared, since most of the time nobody reads."""

    def __init__(self, cluster: KafkaCluster, settings: WorkerSettings, times: DecisionTimes | None = None) -> None:
        self._cluster, self._settings, self._times = cluster, settings, times
        names = settings.names
        _check_partitions(cluster, settings)
        self.count = settings.partitions
        self._log_id = cluster.topic_id(names.log)
        self._sender: KafkaSender = cluster.producer()
        self._tails = [cluster.tails() for _ in range(CONNECTIONS)]
        self._ends = cluster.tails()

    def driver(self, partition: int) -> PartitionDriver:
        """Return a new one, not opened."""
        names, tails = self._settings.names, self._tails[partition % CONNECTIONS]
        return PartitionDriver(
            KafkaLogReader(self._cluster, names.log, partition, tails),
            KafkaCheckpointStore(self._cluster, names, partition, sender=self._sender, tails=tails),
            engine_of(self._log_id, self._settings.reference_key, partition=partition, partitions=self.count),
            on_alarm=lambda alarm, detail: self.alarm(partition, alarm, detail),
            accept_cut=self._settings.accept_cut,
            times=self._times,
        )

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Return where the log of each of them ends."""
        return self._ends.ends(self._settings.names.log, partitions)

    def tell_judged(self, moved: Mapping[int, tuple[int, int]]) -> None:
        """Tell those who watch how far the partitions of this worker are: position, and epoch ms of its last move."""
        told = {number: (position, str(at_ms)) for number, (position, at_ms) in moved.items()}
        try:
            self._cluster.tell_offsets(self._settings.names.judged, self._settings.names.log, told)
        except LinliError as error:  # judging goes on; who watches raises an alarm in vain, and this line says why
            LOG.warning("progress_not_told", reason=str(error))

    def flush(self) -> None:
        """Let what was said last arrive, if the brokers answer."""
        with suppress(LinliError):
            self._sender.flush(FLUSH_S)

    def check_log(self) -> None:
        """Raise unless the log is the topic that it was at the start.

        Raises:
            LogBroken: it is another one of the same name. The group would only learn of it minutes later: until then
                nobody has its partitions, and what is written there is judged by nobody.
            Transient: the brokers do not answer.
        """
        log = self._settings.names.log
        found = self._cluster.topic_id(log)
        if found != self._log_id:
            raise LogBroken(
                f"log_replaced: {log} was made again: its topic id is {found}, it was {self._log_id}. Bring the old "
                "log back, or take the snapshots away to judge this one from its start; see `linli docs operations`"
            )

    def alarm(self, partition: int, alarm: DriverAlarm, detail: str) -> None:
        """Tell people: on the findings topic, from where incidents take it; never as a finding."""
        LOG.error(alarm.value, partition=partition, detail=detail)
        said = PartitionAlarm(alarm, partition, detail, wall_ms())
        self._sender.send(self._settings.names.findings, partition, encode_findings_record(said))


class WorkerProcess:
    """One worker in this process. ``report_to`` is a file descriptor for a line of progress every second, or None."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        report_to: int | None = None,
        registry: CollectorRegistry | None = None,
        times: DecisionTimes | None = None,
    ) -> None:
        self._times = times or DecisionTimes()
        self._settings = settings
        self._report_to = report_to
        self._registry = registry or CollectorRegistry()
        self._cluster = KafkaCluster(settings.url, f"linli-streams-{os.getpid()}", settings.security)
        self._ended = threading.Event()
        self._seen: dict[int, PartitionProgress] = {}
        self._waits_for = ""
        self._broken: LogBroken | None = None
        self._partitions: DriverFactory | None = None
        self._moved = LastMoves()
        self._reader: FaustReader | None = None
        self._worker: PartitionWorker | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop``; then drain, leave the group, and return.

        Raises:
            LinliError: what stands in the way says itself what to do.
            Exception: an uncaught error: the process must end.
        """
        watcher = threading.Thread(target=self._report, name="report", daemon=True)
        watcher.start()
        try:
            partitions = await self._connect(stop)
            if partitions is not None:
                await self._live(partitions, stop)
        finally:
            self._ended.set()

    async def _connect(self, stop: asyncio.Event) -> DriverFactory | None:
        """Wait until the brokers answer; says which do not."""
        while not stop.is_set():
            try:
                return await asyncio.to_thread(DriverFactory, self._cluster, self._settings, self._times)
            except Transient as error:
                self._waits_for = str(error)
                LOG.warning("waiting", reason=str(error))
                await _wait(stop, error.retry_after_s or RETRY_S)
        return None

    async def _live(self, partitions: DriverFactory, stop: asyncio.Event) -> None:
        names = self._settings.names
        worker = PartitionWorker(partitions.driver, on_alarm=partitions.alarm)
        settings = ReaderSettings(
            servers=tuple(self._cluster.servers),
            topic=names.log,
            group=f"{names.prefix}streams",
            security=self._settings.security,
        )
        reader = FaustReader(settings, worker)
        self._partitions, self._worker, self._reader, self._waits_for = partitions, worker, reader, ""
        self._registry.register(WorkerMetrics(worker.owned, lambda: self._seen, wall_ms))
        starting = asyncio.ensure_future(reader.start())
        working = asyncio.ensure_future(worker.run())
        stopping = asyncio.ensure_future(stop.wait())
        ready = False
        try:
            while not stopping.done():
                await asyncio.wait([working, stopping], timeout=0.5)
                if working.done():
                    working.result()
                if starting.done():
                    starting.result()
                    reader.check()
                if not ready and reader.member and worker.opened():
                    ready = True
                    settle_garbage()
                    LOG.info("ready", partitions=len(worker.owned()))
                if self._broken is not None:
                    partitions.alarm(0, DriverAlarm.LOG_BROKEN, str(self._broken))
                    raise self._broken
            LOG.info("draining")
            await drained(worker, self._cluster)
            await asyncio.wait_for(reader.stop(), DRAIN_S)
        finally:
            for task in (starting, working, stopping):
                task.cancel()
            await asyncio.to_thread(partitions.flush)

    def _report(self) -> None:
        """Say what stands still, in a thread of its own: also when the loop is what does."""
        looked_s = 0.0
        ends: dict[int, int] = {}
        while not self._ended.wait(REPORT_EVERY_S):
            if self._worker is not None and time.monotonic() - looked_s >= ENDS_EVERY_S:
                looked_s = time.monotonic()
                ends = self._look_at_ends()
            self._say(self._progress(ends))

    def _look_at_ends(self) -> dict[int, int]:
        assert self._partitions is not None and self._worker is not None
        try:
            self._partitions.check_log()
            progress = self._worker.progress()
            ends = self._partitions.ends(progress)
        except LogBroken as error:
            self._broken = error
            return {}
        except LinliError as error:
            self._waits_for = str(error)
            return {}
        self._waits_for = ""
        self._partitions.tell_judged(self._moved.of(progress, wall_ms()))
        return ends

    def _progress(self, ends: Mapping[int, int]) -> WorkerProgress:
        found = {} if self._worker is None else self._worker.progress()
        self._seen = {
            number: msgspec.structs.replace(partition, end=ends.get(number, -1)) for number, partition in found.items()
        }
        member = self._reader is not None and self._reader.member
        return WorkerProgress(member, self._seen, self._waits_for)

    def _say(self, report: WorkerProgress) -> None:
        if self._report_to is None:
            return
        try:
            os.write(self._report_to, encode_progress(report))
        except BrokenPipeError:
            os.kill(os.getpid(), signal.SIGTERM)  # whoever started us is gone


def run_worker(
    settings: WorkerSettings,
    code_of: Callable[[Exception | None], int],
    *,
    report_to: int | None = None,
    registry: CollectorRegistry | None = None,
    times: DecisionTimes | None = None,
) -> NoReturn:
    """Run a worker until SIGTERM, Ctrl-C or an error; then the process is gone. Only in the main thread.

    Args:
        settings: where the log is.
        code_of: the exit code for what ended it; None: it drained.
        report_to: where its progress is told.
        registry: what it counts in.
        times: what it measures its decisions in.
    """

    async def live() -> NoReturn:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        failure: Exception | None = None
        try:
            await WorkerProcess(settings, report_to=report_to, registry=registry, times=times).run(stop)
        except Exception as error:  # noqa: BLE001 - the boundary of the process: it ends with its code
            failure = error
        code = code_of(failure)
        sys.stderr.flush()
        os._exit(code)  # nothing rests on what is still under way, and a thread that waits for brokers would hold us up

    asyncio.run(live())
    raise AssertionError("never reached")


async def drained(worker: PartitionWorker, cluster: KafkaCluster) -> None:
    """Wait until every partition is marked as drained.

    Raises:
        Transient: the brokers do not take it.
    """
    try:
        await asyncio.wait_for(worker.drain(), DRAIN_S)
    except TimeoutError:
        raise Transient(
            f"not drained: Kafka at {','.join(cluster.servers)} did not take the snapshots within {DRAIN_S:.0f} s. "
            "Nothing is lost: this version goes on from older ones; a new one waits until this one was started once "
            "more and ended in order"
        ) from None


def _check_partitions(cluster: KafkaCluster, settings: WorkerSettings) -> None:
    names = settings.names
    for topic in (names.log, names.findings, names.snapshots):
        found = cluster.partitions(topic)
        if found != settings.partitions:
            raise ConfigurationError(
                f"{topic} has {found} partitions, kafka.partitions is {settings.partitions}: where a site's events lie "
                "depends on it; `linli topics check` says what is wrong"
            )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
