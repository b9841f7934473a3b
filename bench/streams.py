"""Kafka → Faust → findings: what an event costs a worker beside an agent that does nothing; how soon a kill is over.

Run: ``python -m bench.streams [--events N] [--batch N] [--kills N]``. It starts a broker of its own. Throughput is
events per second of the worker's own CPU time; worker and empty agent read the same records in one run. Aim: 25,000.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from app.wiring.children import Child
from app.wiring.run_child import environment, start_child
from bench.engine import lived
from bench.figures import Figure, show
from contracts.batch import Batch
from contracts.events import AnyEvent
from contracts.names import partition_of
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.engine.manifest import decode_manifest
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogWriter
from streams.runtime.faust_app import FaustReader, ReaderSettings
from streams.topics import TopicNames, topic_specs

RUN = Path(__file__).resolve().parents[1] / "deploy" / "kafka" / "run.sh"
PARTITIONS = 3
GROUP = 64
START_S = 180.0


class Cost(msgspec.Struct, frozen=True):
    """What one run came to: CPU seconds of the worker and of the empty agent, and the worker's memory."""

    events: int
    records: int
    worker_cpu_s: float
    empty_cpu_s: float
    wall_s: float
    memory_mib: float


class Nobody:
    """Takes records and does nothing; counts them."""

    def __init__(self) -> None:
        self.records = 0

    def assigned(self, partitions: object) -> None:
        """Say that it is ready."""
        print("ready", flush=True)

    def revoked(self, partitions: object) -> None:
        """Do nothing."""

    def delivered(self, partition: int, position: int, data: bytes, written_ms: int = 0) -> None:
        """Count one more."""
        self.records += 1


def empty_agent(url: str, topic: str, records: int) -> None:
    """Run Faust over the topic with a handler that does nothing, until so many records have come; for a process."""

    async def live() -> None:
        nobody = Nobody()
        settings = ReaderSettings(servers=tuple(KafkaCluster(url).servers), topic=topic, group="empty")
        reader = FaustReader(settings, nobody)
        await reader.start()
        cpu_s = time.process_time()
        while nobody.records < records:
            await asyncio.sleep(0.05)
        print(f"cpu {time.process_time() - cpu_s}", flush=True)

    asyncio.run(live())


def cut(events: Sequence[AnyEvent], size: int) -> list[Batch]:
    """Cut each partition's events into batches of ``size``, each releasing everything its writer had received."""
    batches = []
    for partition in range(PARTITIONS):
        own = [event for event in events if partition_of(event.site_id, PARTITIONS) == partition]
        for start in range(0, len(own), size):
            part = tuple(own[start : start + size])
            batches.append(Batch(partition=partition, watermark_ms=part[-1].received_ms - 1, events=part))
    return sorted(batches, key=lambda batch: batch.watermark_ms)


class Bench:
    """A broker, its topics, and what a worker needs to know."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"kafka://127.0.0.1:{port}"
        self.cluster = KafkaCluster(self.url, "bench")
        self.names = TopicNames()
        for spec in topic_specs(
            self.names, partitions=PARTITIONS, replication=1, retention_hours=24 * 365 * 10, retention_bytes=-1
        ):
            self.cluster.create_topic(spec)
        self.settings = {"LINLI_LOG_URL": self.url, "LINLI_KAFKA_PARTITIONS": str(PARTITIONS)}
        self._sender, self._tails = self.cluster.producer(), self.cluster.tails()
        self._keeps = [
            KafkaCheckpointStore(self.cluster, self.names, n, sender=self._sender, tails=self._tails)
            for n in range(PARTITIONS)
        ]

    def worker(self, name: str) -> Child:
        """Start ``linli streams run`` without its supervisor, so that its CPU time is one process's."""
        return start_child(name, self.folder, "streams", "run", "--no-supervisor", settings=self.settings)

    def append(self, batches: Sequence[Batch], pause_s: float = 0.0) -> None:
        """Append to the log."""
        writer = KafkaLogWriter(self.cluster, self.names.log, range(PARTITIONS))
        for start in range(0, len(batches), GROUP):
            writer.append(batches[start : start + GROUP])
            time.sleep(pause_s)  # the pace that the caller asks for
        writer.close()

    def judged(self) -> list[int]:
        """Return how far each partition is, durably."""
        return [
            max((decode_manifest(body).position + 1 for body in keep.manifests().values()), default=0)
            for keep in self._keeps
        ]

    def ends(self) -> list[int]:
        """Return where each partition's log ends."""
        return [self._tails(self.names.log, n).end() for n in range(PARTITIONS)]

    def wait(self) -> None:
        """Wait until everything is judged."""
        while any(at < end for at, end in zip(self.judged(), self.ends(), strict=True)):
            time.sleep(0.05)  # manifests in a topic can only be asked for


@contextmanager
def broker() -> Iterator[Bench]:
    """Yield a bench over a broker of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, port = Path(name), 19_650
        with (folder / "kafka.log").open("wb") as log:
            process = subprocess.Popen([RUN, "--port", str(port), "--data", folder / "data"], stdout=log, stderr=log)
        try:
            yield _when_it_answers(folder, port)
        finally:
            process.terminate()
            process.wait()


def _when_it_answers(folder: Path, port: int) -> Bench:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            return Bench(folder, port)
        except Exception:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.5)  # a broker that starts does not say when it is done


def throughput(bench: Bench, events: int, size: int) -> Cost:
    """Measure worker and empty agent over the same records, delivered by Faust."""
    lives = lived(events, seed=1)
    batches = cut(lives, size)
    bench.append([Batch(partition=n, watermark_ms=0) for n in range(PARTITIONS)])
    worker = bench.worker(f"worker-{size}")
    empty = subprocess.Popen(
        [sys.executable, "-m", "bench.streams", "--empty", bench.url, bench.names.log, str(len(batches))],
        env=environment({}),
        stdout=subprocess.PIPE,
    )
    assert empty.stdout is not None
    empty.stdout.readline()
    bench.wait()
    process = psutil.Process(worker.pid)
    cpu_s, started_s = _cpu_s(process), time.monotonic()
    bench.append(batches)
    bench.wait()
    wall_s, cpu_s = time.monotonic() - started_s, _cpu_s(process) - cpu_s
    memory_mib = process.memory_info().rss / 2**20
    empty_cpu_s = float(empty.stdout.readline().split()[1])
    empty.kill()
    empty.wait()
    worker.stop(30.0)
    return Cost(len(lives), len(batches), cpu_s, empty_cpu_s, wall_s, memory_mib)


def recoveries(bench: Bench, kills: int) -> list[float]:
    """Return seconds from the kill of one of two workers until each partition has gone on, while the log grows."""
    found = []
    workers = [bench.worker("first"), bench.worker("second")]
    position_ms = 2_000_000_000_000
    for n in range(kills):
        _settle(bench, position_ms := position_ms + 60_000)
        victim = workers.pop(0)
        psutil.Process(victim.pid).kill()
        started_s = time.monotonic()
        ends = bench.ends()
        while any(at <= end for at, end in zip(bench.judged(), ends, strict=True)):
            bench.append([Batch(partition=p, watermark_ms=position_ms) for p in range(PARTITIONS)])
            time.sleep(0.1)  # the pace of the batches that show whether the partition is judged again
        found.append(time.monotonic() - started_s)
        workers.append(bench.worker(f"after-{n}"))
    for worker in workers:
        worker.stop(30.0)
    return found


def _settle(bench: Bench, watermark_ms: int) -> None:
    """Wait until everything is judged for ten seconds in a row: the group has its shape."""
    quiet_s = time.monotonic()
    while time.monotonic() - quiet_s < 10.0:
        bench.append([Batch(partition=p, watermark_ms=watermark_ms) for p in range(PARTITIONS)], 0.3)
        if any(end - at > 20 for at, end in zip(bench.judged(), bench.ends(), strict=True)):
            quiet_s = time.monotonic()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def figures(events: int, sizes: Sequence[int], kills: int) -> Iterator[Figure]:
    """Yield everything this bench has to say."""
    for size in sizes:
        with broker() as bench:
            cost = throughput(bench, events, size)
        per_s = cost.events / cost.worker_cpu_s
        yield Figure(f"events/s of CPU, {size} a batch", f"{per_s:,.0f}", "aim 25,000", met=per_s >= 25_000)
        yield Figure("... of wall time, writer and broker on the same cores", f"{cost.events / cost.wall_s:,.0f}")
        yield Figure("... µs of CPU an event", f"{cost.worker_cpu_s / cost.events * 1e6:.0f}")
        yield Figure("... µs a record of an empty Faust agent", f"{cost.empty_cpu_s / cost.records * 1e6:.0f}")
        yield Figure("... memory, MiB", f"{cost.memory_mib:.0f}", "≤ 600", met=cost.memory_mib <= 600)
    if kills:
        with broker() as bench:
            seconds = sorted(recoveries(bench, kills))
        p95 = seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]
        yield Figure(
            f"recovery after kill -9, p50 and p95 of {kills}",
            f"{statistics.median(seconds):.1f} and {p95:.1f} s",
            "p95 ≤ 12 s",
            met=p95 <= 12.0,
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--batch", type=int, nargs="*", default=[8, 64])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--empty", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.empty:
        empty_agent(arguments.empty[0], arguments.empty[1], int(arguments.empty[2]))
        return
    command = f"python -m bench.streams --events {arguments.events} --kills {arguments.kills}"
    show(command, figures(arguments.events, arguments.batch, arguments.kills))


if __name__ == "__main__":
    main()
