"""A district's log on a real broker, workers of the rules over it, and what they found."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from app.wiring.children import Child
from app.wiring.findings import kafka_findings
from app.wiring.log_loading import GROUP_BATCHES
from app.wiring.run_child import environment, start_child
from contracts.batch import Batch
from contracts.events import AnyEvent
from contracts.findings import Finding
from streams.checkpoints.findings_topic import KafkaFindings, PartitionAlarm
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.engine.batching import batches_of
from streams.engine.manifest import PartitionManifest, decode_manifest
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogWriter
from streams.topics import topic_specs
from tests.support.kafka import make_topics
from tests.support.waiting import PATIENCE_S, until

NEWER = Path(__file__).with_name("newer_rules.py")


class Worker:
    """``linli streams run`` in a folder of its own choice; with the rules as after so many ``updates``."""

    def __init__(self, folder: Path, name: str, settings: dict[str, str], *arguments: str, updates: int = 0) -> None:
        if updates:
            # -P: the script's folder holds a kafka.py of its own; a supervisor would start today's rules
            command = [sys.executable, "-P", str(NEWER), str(updates), "streams", "run", "--no-supervisor", *arguments]
            log = folder / "logs" / f"{name}.log"
            log.parent.mkdir(exist_ok=True)
            self._child = Child(name, command, folder=folder, environment=environment(settings), log=log)
        else:
            self._child = start_child(name, folder, "streams", "run", *arguments, settings=settings)
        self.ended = False

    @property
    def pid(self) -> int:
        """Of the supervisor; its process group holds the worker too."""
        return self._child.pid

    def said(self) -> str:
        """Everything it has said."""
        return self._child.tail(1_000_000)

    def running(self) -> bool:
        """Whether it still runs."""
        return self._child.running()

    def signal(self, number: int) -> None:
        """To the whole process group."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """As a crash would; with everything in its group."""
        self.ended = True
        self.signal(signal.SIGKILL)
        self._child.stop()

    def stop(self) -> int:
        """In order; the exit code."""
        self.ended = True
        return self._child.stop(40.0)

    def wait(self) -> int:
        """Until it ends by itself; the exit code."""
        until(lambda: not self.running(), "the worker to end")
        return self.stop()


class District:
    """Topics nobody else uses, over brokers that others may use too."""

    def __init__(self, url: str, folder: Path, *, partitions: int) -> None:
        self.url, self.folder, self.partitions = url, folder, partitions
        self.names = make_topics(url, partitions=partitions)
        self.cluster = KafkaCluster(url, "tests")
        self.settings = {
            "LINLI_LOG_URL": url,
            "LINLI_KAFKA_PREFIX": self.names.prefix,
            "LINLI_KAFKA_PARTITIONS": str(partitions),
        }
        self._sender = self.cluster.producer()
        self._tails = self.cluster.tails()

    def load(self, events: Sequence[AnyEvent], pause_s: float = 0.0) -> None:
        """Write a file's events into the log as a shard would, with a pause after every few records."""
        writer = KafkaLogWriter(self.cluster, self.names.log, range(self.partitions))
        batches = list(batches_of(events, self.partitions))
        for start in range(0, len(batches), GROUP_BATCHES):
            writer.append(batches[start : start + GROUP_BATCHES])
            time.sleep(pause_s)  # the pace at which it is written: a worker is killed in the middle of it
        writer.close()

    def append(self, batches: Sequence[Batch]) -> None:
        """Write these records."""
        writer = KafkaLogWriter(self.cluster, self.names.log, range(self.partitions))
        writer.append(batches)
        writer.close()

    def append_bytes(self, partition: int, value: bytes) -> None:
        """Write a record that may be anything."""
        self._sender.send(self.names.log, partition, value).wait(10.0)

    def delete_before(self, topic: str, partition: int, position: int) -> None:
        """As retention does it."""
        at = self._tails(topic, partition).at
        self.cluster._ask("to delete records", lambda admin: admin.delete_records({at: position}))

    def make_log_again(self) -> None:
        """The log's topic is deleted and made by the same name."""
        self.cluster.delete_topic(self.names.log)
        until(lambda: self.cluster.topic_state(self.names.log) is None, "the topic to be gone")
        specs = topic_specs(
            self.names, partitions=self.partitions, replication=1, retention_hours=720, retention_bytes=-1
        )
        until(lambda: self.cluster.create_topic(specs[0]), "the topic to be made")

    def alarms(self) -> list[PartitionAlarm]:
        """Return what workers told people."""
        said = [
            one
            for partition in range(self.partitions)
            for _, one in KafkaFindings(self.cluster, self.names.findings, partition).records_after(0, 100_000)
        ]
        return [one for one in said if isinstance(one, PartitionAlarm)]

    @contextmanager
    def loading(self, events: Sequence[AnyEvent], pause_s: float) -> Iterator[threading.Thread]:
        """The log grows meanwhile; it is complete when ``yield``'s thread has ended."""
        thread = threading.Thread(target=self.load, args=(events, pause_s))
        thread.start()
        try:
            yield thread
        finally:
            thread.join(PATIENCE_S)

    @contextmanager
    def workers(self, *names: str, arguments: Sequence[str] = (), updates: int = 0) -> Iterator[list[Worker]]:
        """Workers in one folder; ended whatever happens."""
        started: list[Worker] = []
        try:
            for name in names:
                started.append(Worker(self.folder, name, self.settings, *arguments, updates=updates))
            yield started
        finally:
            for worker in started:
                if not worker.ended and worker.running():
                    worker.kill()

    def forget_the_dead(self) -> None:
        """Nobody is left of the group: the next worker need not wait until its members are missed."""
        group = f"{self.names.prefix}streams"

        def remove_all(admin: Any) -> None:
            dead = [
                SimpleNamespace(member_id=member["member_id"], group_instance_id=None, reason=None)
                for member in admin.describe_groups([group])[group]["members"]
            ]
            admin.remove_group_members(group, dead)

        self.cluster._ask("to forget workers", remove_all)

    def keep(self, partition: int) -> KafkaCheckpointStore:
        """Return what is kept of a partition."""
        return KafkaCheckpointStore(self.cluster, self.names, partition, sender=self._sender, tails=self._tails)

    def manifests(self, partition: int) -> list[PartitionManifest]:
        """Of every version of the rules."""
        return [decode_manifest(body) for body in self.keep(partition).manifests().values()]

    def position(self, partition: int) -> int:
        """How far a partition is judged, durably."""
        return max((manifest.position + 1 for manifest in self.manifests(partition)), default=0)

    def end(self, partition: int) -> int:
        """Where a partition's log ends."""
        return self._tails(self.names.log, partition).end()

    def wait_until_judged(self) -> None:
        """Until everything in the log is judged."""
        for partition in range(self.partitions):
            until(lambda p=partition: self.position(p) >= self.end(p), f"partition {partition} to be judged")  # type: ignore[misc]

    def mark(self) -> None:
        """Put rubbish at the end of each partition: its finding tells, sooner than a snapshot, that it was reached."""
        for partition in range(self.partitions):
            self.append_bytes(partition, b"rubbish")

    def wait_until_found(self, rule: str, times: int) -> None:
        """Until so many findings of ``rule`` are in the findings topic."""
        until(
            lambda: len({f.finding_id for f in kafka_findings(self.cluster, self.names) if f.rule == rule}) == times,
            f"{times} × {rule}",
        )

    def findings(self) -> dict[str, list[Finding]]:
        """Each site's findings, each once, in order, without the position."""
        sites: dict[str, dict[str, Finding]] = {}
        for finding in kafka_findings(self.cluster, self.names):
            bare = msgspec.structs.replace(finding, position=0, number=0)
            sites.setdefault(finding.site_id, {}).setdefault(finding.finding_id, bare)
        return {site_id: list(found.values()) for site_id, found in sites.items()}

    def close(self) -> None:
        """Close connections."""
        self.cluster.close()


@contextmanager
def district(url: str, folder: Path, *, partitions: int) -> Iterator[District]:
    """A district of so many partitions."""
    opened = District(url, folder, partitions=partitions)
    try:
        yield opened
    finally:
        opened.close()
