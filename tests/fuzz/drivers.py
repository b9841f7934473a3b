"""Who judges a run's log: the driver of one machine, or a district's worker; killed, drained and started anew."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from contracts.batch import Batch
from contracts.findings import Finding
from detectors.registry import all_rules
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.engine.snapshot import SnapshotRow
from streams.log.sqlite.day_log import DayLog
from streams.runtime.embedded import EmbeddedDriver
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.worker import PartitionWorker
from tests.fuzz.stores import KafkaTopics, MemoryTopics, Topics
from tests.support.folders import fast_folder

Judge = Callable[[random.Random, Sequence[Sequence[Batch]]], tuple[list[Finding], list[str]]]
"""Returns the findings that were kept or sent, in order, and every alarm."""
PATIENCE_S = 120.0


def one_machine(rng: random.Random, logs: Sequence[Sequence[Batch]]) -> tuple[list[Finding], list[str]]:
    """Judge the one partition over day files and ``engine.db``, in some lives; rows of any earlier one may be back."""
    (records,) = logs
    with _machine() as machine:
        for end in _ends(rng, len(records)):
            machine.live(rng, records[machine.log.end() : end])
        return [finding for _, finding in machine.store.findings_after(0, 10_000_000)], machine.alarms


class _Machine:
    """The files of one machine, and the rows that any life kept."""

    def __init__(self, log: DayLog, store: SqliteCheckpointStore) -> None:
        self.log, self.store = log, store
        self.alarms: list[str] = []
        self._rows: dict[str, list[SnapshotRow]] = {}
        self._manifests: list[bytes] = []
        self._digest = ""

    def live(self, rng: random.Random, records: Sequence[Batch]) -> None:
        """Start, judge what comes meanwhile, and end: killed, or in order, which drains."""
        self._put_old_rows_back(rng)
        engine = Engine(all_rules(), partition=0, partitions=1, log_id=self.log.identity())
        driver = PartitionDriver(self.log, self.store, engine, on_alarm=self._alarm, monotonic_s=lambda: 0.0)
        self._digest = engine.digest
        driver.open()
        start = 0
        while start < len(records):
            end = start + rng.randint(1, 1 + len(records) // 2)
            self.log.append(records[start:end])
            driver.step(rng.randint(1, 64))
            if rng.random() < 0.7:
                driver.save(rng.randint(1, 3))
                self._remember()
            start = end
        driver.catch_up()
        if rng.random() < 0.5:
            stop = threading.Event()
            stop.set()
            EmbeddedDriver(driver).run(stop)
            self._remember()

    def _alarm(self, alarm: DriverAlarm, detail: str) -> None:
        self.alarms.append(f"{alarm}: {detail}")

    def _remember(self) -> None:
        rows, manifest = self.store.load(self._digest)
        for row in rows:
            self._rows.setdefault(row.site_id, []).append(row)
        self._manifests += [manifest] if manifest else []

    def _put_old_rows_back(self, rng: random.Random) -> None:
        if self._manifests and rng.random() < 0.6:
            rows = [rng.choice(kept) for kept in self._rows.values() if rng.random() < 0.7]
            self.store.save(rows, rng.choice(self._manifests), self._digest)


@contextmanager
def _machine() -> Iterator[_Machine]:
    with fast_folder() as folder:
        machine = _Machine(DayLog(folder), SqliteCheckpointStore(folder / "engine.db"))
        try:
            yield machine
        finally:
            machine.store.close()
            machine.log.close()


def district(rng: random.Random, logs: Sequence[Sequence[Batch]]) -> tuple[list[Finding], list[str]]:
    """Judge every partition by workers over topics in memory; deliveries jump, repeat and stay out."""
    return by_workers(rng, logs, MemoryTopics())


def on_kafka(url: str) -> Judge:
    """Return the same judge over a real topics."""

    def judge(rng: random.Random, logs: Sequence[Sequence[Batch]]) -> tuple[list[Finding], list[str]]:
        with closing(KafkaTopics(url, len(logs))) as topics:
            return by_workers(rng, logs, topics)

    return judge


def by_workers(rng: random.Random, logs: Sequence[Sequence[Batch]], topics: Topics) -> tuple[list[Finding], list[str]]:
    """Judge every partition by one worker after the other."""
    alarms = list[str]()
    asyncio.run(_workers(rng, topics, logs, alarms))
    return [finding for partition in range(len(logs)) for finding in topics.findings(partition)], alarms


async def _workers(rng: random.Random, topics: Topics, logs: Sequence[Sequence[Batch]], alarms: list[str]) -> None:
    written = [0] * len(logs)
    for share in (n / 4 for n in sorted(rng.sample(range(1, 4), rng.randrange(3)))):
        await _worker(rng, topics, logs, [int(len(records) * share) for records in logs], written, alarms)
    await _worker(rng, topics, logs, [len(records) for records in logs], written, alarms)


async def _worker(
    rng: random.Random,
    topics: Topics,
    logs: Sequence[Sequence[Batch]],
    ends: Sequence[int],
    written: list[int],
    alarms: list[str],
) -> None:
    """Run one worker until everything up to ``ends`` is judged; then it is killed, or drained."""

    def driver(partition: int) -> PartitionDriver:
        log = topics.log(partition)
        engine = Engine(all_rules(), partition=partition, partitions=len(logs), log_id=log.identity())
        return PartitionDriver(log, topics.checkpoints(partition), engine, monotonic_s=lambda: 0.0)

    worker = PartitionWorker(
        driver,
        on_alarm=lambda partition, alarm, detail: alarms.append(f"{partition} {alarm}: {detail}"),
        monotonic_s=lambda: 0.0,
    )
    running = asyncio.ensure_future(worker.run())
    worker.assigned(range(len(logs)))
    for partition, end in enumerate(ends):
        await _deliver(rng, topics, worker, partition, logs[partition][:end], written)
    await _until(running, lambda: all(worker.progress()[n].position >= end for n, end in enumerate(ends)))
    await _until(running, lambda: all(owned.offloaded is None for owned in worker.owned()))
    if rng.random() < 0.5:
        await worker.drain()
    running.cancel()
    for partition in range(len(logs)):
        topics.put_old_things_back(rng, partition)


async def _deliver(
    rng: random.Random,
    topics: Topics,
    worker: PartitionWorker,
    partition: int,
    records: Sequence[Batch],
    written: list[int],
) -> None:
    """Write and hand over records as a stream library does; the last one always comes."""
    owned = worker.owned()[partition]
    for position, record in enumerate(records):
        if position >= written[partition]:
            topics.append(record)
            written[partition] += 1
    topics.flush()
    log = topics.log(partition)
    for position in range(max(0, len(records) - rng.randint(1, 60)), len(records)):
        if rng.random() < 0.2 and position + 1 < len(records):
            continue
        for again in range(max(0, position - rng.choice((0, 0, 0, 5))), position + 1):
            worker.delivered(partition, again, log.read(again, 1)[0].data)
        if rng.random() < 0.2:
            await asyncio.sleep(0)
        if owned.idle() and rng.random() < 0.2:
            owned.driver.save(rng.randint(1, 3))


async def _until(running: asyncio.Future[None], done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():
            if running.done():
                running.result()
            await asyncio.sleep(0.002)


def _ends(rng: random.Random, records: int) -> list[int]:
    """Return where the log ends when each life ends; the last one sees all of it."""
    return [*sorted(rng.randrange(records + 1) for _ in range(rng.randrange(5))), records]
