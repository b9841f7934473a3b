"""The ways to run the rules over a file of events. Every scenario must give the same findings in all of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from app.wiring.log_loading import load_events
from contracts.events import AnyEvent
from contracts.findings import Finding, Output
from detectors.registry import all_rules
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.batching import batches_of
from streams.engine.engine import Engine
from streams.engine.in_memory_run import run_file
from streams.log.port import LogReader, LogRecord
from streams.log.sqlite.day_log import DayLog
from streams.runtime.faust_app import FaustReader, ReaderSettings
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.worker import PartitionWorker
from tests.streams.memory import MemoryCheckpointStore, MemoryLog

FAUST_PARTITIONS = 3
Judged = dict[str, list[Finding]]
Runtime = Callable[[Sequence[AnyEvent], Path], Judged]


def in_memory(events: Sequence[AnyEvent], _folder: Path) -> Judged:
    """As ``linli replay``."""
    return per_site(run_file(events, all_rules()))


def in_memory_partitioned(events: Sequence[AnyEvent], _folder: Path) -> Judged:
    """Over five partitions, in small batches."""
    return per_site(run_file(events, all_rules(), partitions=5, max_events=7))


def embedded(events: Sequence[AnyEvent], folder: Path) -> Judged:
    """The day log and the embedded driver, in one go."""
    log = DayLog(folder)
    load_events(log, events)
    driver, store = _open(log, folder)
    driver.open()
    return _close(log, store)


def embedded_restarted(events: Sequence[AnyEvent], folder: Path) -> Judged:
    """The same, with a restart from snapshots after every few records."""
    log = DayLog(folder)
    load_events(log, events)
    rng = random.Random(len(events))
    position = 0
    while position < log.end():
        driver, store = _open(_Until(log, position), folder)
        driver.open()
        driver.save(most_sites=rng.randrange(1, 5))
        store.close()
        position += rng.randrange(1, max(2, log.end() // 12))
    driver, store = _open(log, folder)
    driver.open()
    return _close(log, store)


def faust_in_process(events: Sequence[AnyEvent], _folder: Path) -> Judged:
    """Faust's agent over three partitions; deliveries jump, repeat and stay out, as they do around rebalances."""
    return per_site(asyncio.run(_through_faust(events)))


RUNTIMES: dict[str, Runtime] = {
    "in memory": in_memory,
    "in memory, five partitions, small batches": in_memory_partitioned,
    "embedded": embedded,
    "embedded, restarted": embedded_restarted,
    "Faust in process": faust_in_process,
}


def per_site(outputs: Iterable[Output]) -> Judged:
    """Findings by site in order of decision, without the position, which depends on how the log was cut."""
    sites: Judged = {}
    for output in outputs:
        if isinstance(output, Finding):
            bare = msgspec.structs.replace(output, position=0, number=0)
            sites.setdefault(output.site_id, []).append(bare)
    return sites


class _Until:
    """A log that ends early, as it did when the driver last looked."""

    def __init__(self, log: DayLog, end: int) -> None:
        self._log, self._end = log, end

    def identity(self) -> str:
        return self._log.identity()

    def begin(self) -> int:
        return self._log.begin()

    def end(self) -> int:
        return self._end

    def read(self, position: int, limit: int) -> list[LogRecord]:
        return self._log.read(position, min(limit, self._end - position)) if position < self._end else []


async def _through_faust(events: Sequence[AnyEvent]) -> list[Output]:
    batches = list(batches_of(events, FAUST_PARTITIONS, max_events=40))
    logs = [MemoryLog([b for b in batches if b.partition == number]) for number in range(FAUST_PARTITIONS)]
    keeps = [MemoryCheckpointStore() for _ in logs]
    worker = PartitionWorker(lambda n: PartitionDriver(logs[n], keeps[n], _engine(n)))
    reader = FaustReader(ReaderSettings(servers=("127.0.0.1:1",), topic="log", group="in-process"), worker)
    running = asyncio.ensure_future(worker.run())
    worker.assigned(range(FAUST_PARTITIONS))
    async with reader.agent.test_context() as agent:
        for number, position in _deliveries(random.Random(len(events)), [len(log.records) for log in logs]):
            logs[number].visible = max(logs[number].visible, position + 1)
            message = agent.to_message(None, logs[number].records[position], partition=number, offset=position)
            await agent.channel.put(await agent.channel.decode(message))
            if position % 50 == 0:
                await asyncio.sleep(0)
        while any(worker.progress()[number].position < len(log.records) for number, log in enumerate(logs)):
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
    await worker.drain()
    running.cancel()
    return [output for keep in keeps for output in keep.outputs]


def _engine(partition: int) -> Engine:
    return Engine(all_rules(), partition=partition, partitions=FAUST_PARTITIONS, log_id="log1")


def _deliveries(rng: random.Random, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Every partition's positions in turn, some left out, some again from further back; the last one always comes."""
    for position in range(max(ends)):
        for number, end in enumerate(ends):
            if position >= end or (rng.random() < 0.1 and position + 1 < end):
                continue
            yield number, position
            if rng.random() < 0.02:
                back = max(0, position - rng.randrange(8))
                yield from ((number, again) for again in range(back, position + 1))


def _open(log: LogReader, folder: Path) -> tuple[PartitionDriver, SqliteCheckpointStore]:
    store = SqliteCheckpointStore(folder / "engine.db")
    engine = Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())
    return PartitionDriver(log, store, engine), store


def _close(log: DayLog, store: SqliteCheckpointStore) -> Judged:
    judged = per_site([finding for _, finding in store.findings_after(0, 10_000_000)])
    store.close()
    log.close()
    return judged
