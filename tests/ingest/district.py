"""A district's ingest for tests: ``linli ingest run`` as processes, devices of several sites, what the log holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.wiring.children import Child
from app.wiring.run_child import start_child
from contracts.batch import Batch, decode_batch
from contracts.events import AnyEvent, Configuration, DoorChanged, DoorState
from contracts.names import DeviceClass
from detectors.registry import all_rules
from inventory.inventory import Inventory
from streams.engine.engine import Engine
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.topics import TopicNames
from tests.ingest.builders import device, door, site, smoke
from tests.ingest.clients import Devices, wait_until
from tests.ingest.shards import now_ms
from tests.runtimes.runtimes import Judged, per_site
from tests.support.kafka import make_topics

SITES = ("s1", "s2", "s3", "s4", "s5", "s6")
PARTITIONS = 4
"""Over which the six sites lie so that no partition has all, and a shard of two has some."""
PATIENCE_S = 90.0


class District:
    """One district: its topics on a running broker, its inventory, its folder. Shards are started over it."""

    def __init__(self, folder: Path, kafka_url: str, mqtt_url: str, names: TopicNames | None = None) -> None:
        self.folder, self.kafka_url, self.mqtt_url = folder, kafka_url, mqtt_url
        self.names = names or make_topics(kafka_url, partitions=PARTITIONS)
        folder.mkdir(parents=True, exist_ok=True)
        inventory = Inventory(folder / "linli-data" / "config.db")
        inventory.put(records())
        inventory.close()

    @contextmanager
    def shard(self, shard: str = "0/1", name: str = "", **settings: str) -> Iterator[Child]:
        """``linli ingest run --shard``; ended whatever happens."""
        child = self.start(shard, name, **settings)
        try:
            yield child
        finally:
            child.stop(20)

    def start(self, shard: str = "0/1", name: str = "", **settings: str) -> Child:
        """The same, to be ended by the caller."""
        environment = {
            "LINLI_LOG_URL": self.kafka_url,
            "LINLI_MQTT_URL": self.mqtt_url,
            "LINLI_KAFKA_PREFIX": self.names.prefix,
            "LINLI_KAFKA_PARTITIONS": str(PARTITIONS),
        } | settings
        name = name or f"shard-{shard.replace('/', '-of-')}"
        return start_child(name, self.folder, "ingest", "run", "--shard", shard, settings=environment)

    def log(self) -> dict[int, list[Batch]]:
        """Everything in the log, by partition."""
        with KafkaCluster(self.kafka_url) as cluster:
            tails = cluster.tails()
            return {
                p: _read(KafkaLogReader(cluster, self.names.log, p, tails))
                for p in range(cluster.partitions(self.names.log))
            }

    def wait_for_doors(self, ids: set[str]) -> bool:
        """Wait until each of these is in the log, and time has passed it in every partition."""
        said_ms = now_ms()

        def there() -> bool:
            log = self.log()
            return doors_in(log).keys() >= ids and all(
                max((b.watermark_ms for b in batches), default=0) > said_ms for batches in log.values()
            )

        end_s = time.monotonic() + PATIENCE_S
        while not (done := there()) and time.monotonic() < end_s:
            time.sleep(0.5)
        return done


def records() -> list[Configuration]:
    """Six sites, each with gate g1 and smoke sensor smoke-1."""
    return [
        record
        for site_id in SITES
        for record in (
            site(site_id),
            device("g1", DeviceClass.GATE, site_id=site_id),
            device("smoke-1", DeviceClass.SENSOR, site_id=site_id),
        )
    ]


def ready(child: Child) -> None:
    """Wait until the shard listens."""
    said(child, "ready ")


def said(child: Child, words: str) -> None:
    """Wait until it has said this."""
    assert wait_until(lambda: words in child.tail(20_000) or not child.running(), PATIENCE_S), child.tail()
    assert words in child.tail(20_000), child.tail()


def ended(child: Child) -> int:
    """Its exit code, once it has ended by itself."""
    assert wait_until(lambda: not child.running(), PATIENCE_S), child.tail()
    return child.stop()


class Life(threading.Thread):
    """Doors open and close, smoke comes and goes, at every site in turn, for ``seconds``; then it is confirmed."""

    def __init__(self, port: int, seconds: float, pause_s: float = 0.005) -> None:
        super().__init__(daemon=True)
        self.ids: set[str] = set()
        self._port, self._seconds, self._pause_s = port, seconds, pause_s
        self.start()

    def run(self) -> None:
        """Speak."""
        with Devices(self._port) as devices:
            end_s, n = time.monotonic() + self._seconds, 0
            while time.monotonic() < end_s:
                for event in moment(n, SITES[n % len(SITES)]):
                    devices.say(event)
                self.ids.add(f"e{n}")
                n += 1
                time.sleep(self._pause_s)
            devices.confirmed(60)

    def finish(self) -> set[str]:
        """Wait for the end; the ids of the doors."""
        self.join(self._seconds + 90)
        assert not self.is_alive()
        return self.ids


def moment(n: int, site_id: str) -> list[AnyEvent]:
    """Return what happens at a site at its turn ``n``."""
    at_ms = now_ms()
    state = DoorState.OPEN if n // len(SITES) % 2 == 0 else DoorState.CLOSED
    events: list[AnyEvent] = [door(f"e{n}", at_ms=at_ms, seq=n, site_id=site_id, state=state)]
    if n // len(SITES) % 40 == 0:
        alarm = smoke(f"f{n}", at_ms=at_ms, alarm=n // len(SITES) % 80 == 0)
        events.append(msgspec.structs.replace(alarm, site_id=site_id))
    return events


def doors_in(log: dict[int, list[Batch]]) -> dict[str, int]:
    """How often each door event is there."""
    counts: dict[str, int] = {}
    for batches in log.values():
        for batch in batches:
            for event in batch.events:
                if isinstance(event, DoorChanged):
                    counts[event.event_id] = counts.get(event.event_id, 0) + 1
    return counts


def without_doubles(batches: Sequence[Batch]) -> list[Batch]:
    """The log as it would be if nothing had been sent or appended twice."""
    seen: set[tuple[str, str, str]] = set()
    single = []
    for batch in batches:
        fresh = []
        for event in batch.events:
            key = (event.site_id, event.source_id, event.event_id)
            if key not in seen:
                seen.add(key)
                fresh.append(event)
        single.append(msgspec.structs.replace(batch, events=tuple(fresh)))
    return single


def judged(log: dict[int, list[Batch]]) -> Judged:
    """Return what the rules find in it, by site."""
    outputs = []
    for partition, batches in log.items():
        engine = Engine(all_rules(), partition=partition, partitions=len(log), log_id="log")
        for position, batch in enumerate(batches):
            outputs += engine.feed(batch, position)
    return per_site(outputs)


def _read(reader: KafkaLogReader) -> list[Batch]:
    position, batches = reader.begin(), []
    while records := reader.read(position, 2_000):
        batches += [decode_batch(record.data) for record in records]
        position = records[-1].position + 1
    return batches
