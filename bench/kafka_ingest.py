"""One shard from MQTT to Kafka: events a second, the sizes of its records, and what an event costs it in CPU.

Run: ``python -m bench.kafka_ingest [--rate N] [--seconds S] [--shards N]``. The public mix (``bench.mix``) comes from a
sender in a process of its own (``bench.mqtt_load``), ``linli ingest run`` is a process of its own, and so are mosquitto
and Kafka (``deploy/kafka/run.sh``); CPU is the kernel's account of the shards' processes alone. When the shards cannot
keep up, what waits in mosquitto is drained after the sender has ended, and the rate of that is their limit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil

from app.wiring.children import Child
from app.wiring.run_child import READY, start_child, wait_until_said
from bench.figures import Figure, show
from bench.mix import PARTITIONS, Mix
from bench.mqtt_load import Sent
from contracts.batch import decode_batch
from contracts.events import ConfigurationRecord
from ingest.session.broker import free_port, start_broker
from inventory.inventory import Inventory
from streams.kafka import KafkaCluster, KafkaTails
from streams.topics import TopicNames, topic_specs
from system.clock import wall_ms

RUN_KAFKA = Path(__file__).resolve().parents[1] / "deploy" / "kafka" / "run.sh"
NAMES = TopicNames()
READY_S = 90.0
DRAINED_S = 3.0
"""So long without a new event: everything is there."""


class Written(msgspec.Struct, frozen=True):
    """What came to be in the log, and at what cost to the shards."""

    sent: Sent
    events: int
    records: int
    empty_records: int
    stored_bytes: int
    wall_s: float
    cpu_s: float
    memory_mb: float

    @property
    def events_a_record(self) -> float:
        """Of records that carry events."""
        return self.events / max(self.records - self.empty_records, 1)


def measure(folder: Path, rate_per_s: float, seconds: float, shards: int) -> Written:
    """Send the mix at ``rate_per_s`` for so long, and wait until all of it is in the log."""
    mix = Mix(rate_per_s, wall_ms())
    with ExitStack() as stack:
        mqtt = start_broker(folder / "broker", kind="mosquitto")
        stack.callback(mqtt.stop)
        kafka_url = _kafka(folder, stack)
        inventory = Inventory(folder / "linli-data" / "config.db")
        inventory.put(mix.records())
        inventory.close()
        settings = {"LINLI_LOG_URL": kafka_url, "LINLI_MQTT_URL": mqtt.url}
        running = [
            _child(stack, f"shard-{n}", folder, ("ingest", "run", "--shard", f"{n}/{shards}"), settings)
            for n in range(shards)
        ]
        for child in running:
            wait_until_said(child, READY, READY_S)
        cluster = stack.enter_context(KafkaCluster(kafka_url))
        tails = cluster.tails()
        _wait_quiet(tails)
        processes = [psutil.Process(child.pid) for child in running]
        begins = [tails(NAMES.log, p).end() for p in range(PARTITIONS)]
        began_s, before_s = time.monotonic(), [_cpu_s(p) for p in processes]
        sent = _send(mqtt.url, mix, rate_per_s, seconds)
        wall_s = _wait_quiet(tails) - began_s
        cpu_s = sum(_cpu_s(p) - was_s for p, was_s in zip(processes, before_s, strict=True))
        memory_mb = max(p.memory_info().rss for p in processes) / 1e6
        return _counted(tails, begins, sent, wall_s, cpu_s, memory_mb)


def figures(written: Written, shards: int) -> Iterator[Figure]:
    """Yield what it comes to."""
    per_s = written.events / written.wall_s
    yield Figure("messages sent, unconfirmed by mosquitto", f"{written.sent.messages:,}, {written.sent.unconfirmed:,}")
    yield Figure("the sender's own CPU, of one core", f"{written.sent.cpu_s / written.wall_s:.0%}")
    yield Figure("events in the log", f"{written.events:,}")
    yield Figure("events/s of wall time", f"{per_s:,.0f}", "aim 15,000")
    yield Figure(f"CPU of {shards} shard(s), of one core", f"{written.cpu_s / written.wall_s:.0%}")
    yield Figure("CPU µs an event", f"{written.cpu_s / max(written.events, 1) * 1e6:.0f}")
    yield Figure(
        "events a record that has any; empty records", f"{written.events_a_record:.1f}; {written.empty_records:,}"
    )
    yield Figure("bytes an event", f"{written.stored_bytes / max(written.events, 1):.0f}")
    yield Figure("memory of the largest shard", f"{written.memory_mb:.0f} MB", "≤ 600 MB", met=written.memory_mb <= 600)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=11_000.0, help="of the mix; 200 to 11,000")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--shards", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        written = measure(Path(folder), options.rate, options.seconds, options.shards)
    command = f"python -m bench.kafka_ingest --rate {options.rate:g} --seconds {options.seconds:g}"
    show(f"{command} --shards {options.shards}", figures(written, options.shards))


def _kafka(folder: Path, stack: ExitStack) -> str:
    port = free_port()
    log = (folder / "kafka.log").open("wb")
    stack.callback(log.close)
    broker = subprocess.Popen(
        [str(RUN_KAFKA), "--port", str(port), "--data", str(folder / "kafka")], stdout=log, stderr=log
    )
    stack.callback(broker.wait)
    stack.callback(broker.terminate)
    url = f"kafka://127.0.0.1:{port}"
    with KafkaCluster(url) as cluster:
        end_s = time.monotonic() + READY_S
        while not _answers(cluster):
            if time.monotonic() > end_s:
                raise SystemExit("Kafka does not answer")
        for spec in topic_specs(NAMES, partitions=PARTITIONS, replication=1, retention_hours=24, retention_bytes=-1):
            cluster.create_topic(spec)
    return url


def _answers(cluster: KafkaCluster) -> bool:
    from contracts.errors import Transient

    try:
        return cluster.brokers() > 0
    except Transient:
        return False


def _child(stack: ExitStack, name: str, folder: Path, arguments: Sequence[str], settings: dict[str, str]) -> Child:
    child = start_child(name, folder, *arguments, settings=settings)
    stack.callback(child.stop)
    return child


def _send(mqtt_url: str, mix: Mix, rate_per_s: float, seconds: float) -> Sent:
    arguments = ["--url", mqtt_url, "--rate", str(rate_per_s), "--seconds", str(seconds)]
    arguments += ["--start-ms", str(mix.start_ms)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.mqtt_load", *arguments], capture_output=True, check=True, env=os.environ
    )
    return msgspec.json.decode(done.stdout, type=Sent)


def _wait_quiet(tails: KafkaTails) -> float:
    """Return when the last event came that was followed by :data:`DRAINED_S` without one."""
    seen = [tails(NAMES.log, p).end() for p in range(PARTITIONS)]
    last_s = time.monotonic()
    while time.monotonic() - last_s < DRAINED_S:
        time.sleep(0.25)  # a log's end can only be asked for, and asking costs the broker
        for partition in range(PARTITIONS):
            tail = tails(NAMES.log, partition)
            end = tail.end()
            records = tail.read(seen[partition], end - seen[partition]) if end > seen[partition] else []
            seen[partition] += len(records)
            if any(decode_batch(r.value or b"").events for r in records):
                last_s = time.monotonic()
    return last_s


def _counted(
    tails: KafkaTails, begins: Sequence[int], sent: Sent, wall_s: float, cpu_s: float, memory_mb: float
) -> Written:
    events = records = empty = stored = 0
    for partition, begin in enumerate(begins):
        tail = tails(NAMES.log, partition)
        offset, end = begin, tail.end()
        while offset < end and (found := tail.read(offset, end - offset)):
            offset = found[-1].offset + 1
            for record in found:
                batch = decode_batch(record.value or b"")
                said = sum(not isinstance(event, ConfigurationRecord) for event in batch.events)
                events, records, empty = events + said, records + 1, empty + (said == 0)
                stored += len(record.value or b"")
    return Written(sent, events, records, empty, stored, wall_s, cpu_s, memory_mb)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
