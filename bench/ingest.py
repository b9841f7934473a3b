"""From MQTT to a durable log: how many events a second, and how long one event and the time behind it take.

Run: ``python -m bench.ingest [--events N] [--seconds S] [--broker mosquitto|amqtt] [--rate N]``. Throughput is measured
over a full session queue, so that publishing takes no part in it (mosquitto only: amqtt keeps no such queue usefully).
Latency is measured at a rate, from a publisher in a process of its own: publish → durable in the log, and publish → a
watermark behind the event is durable, which is when a rule without bound may see it.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from contracts.batch import Batch
from contracts.events import AnyEvent, DeviceConfigured, DeviceReported, SiteConfigured
from contracts.names import DeviceClass
from ingest.session.broker import start_broker
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.shard import Shard
from inventory.inventory import Inventory
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms

DEVICES = 200
_ENCODER = msgspec.json.Encoder()


class TimedLog:
    """A day log that notes when events, and times behind them, became durable."""

    def __init__(self, folder: Path) -> None:
        self._log = DayLog(folder)
        self.events = 0
        self.batches = 0
        self.durable_ms: list[int] = []
        self.proven_ms: list[int] = []
        self._waiting: list[int] = []

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append and note; see :class:`streams.log.port.LogWriter`."""
        positions = self._log.append(batches)
        now_ms = wall_ms()
        for batch in batches:
            said = [event.at_ms for event in batch.events if isinstance(event, DeviceReported)]
            self.durable_ms += [now_ms - at_ms for at_ms in said]
            self._waiting += said
            self.proven_ms += [now_ms - at_ms for at_ms in self._waiting if at_ms < batch.watermark_ms]
            self._waiting = [at_ms for at_ms in self._waiting if at_ms >= batch.watermark_ms]
            self.events += len(said)
        self.batches += len(batches)
        return positions

    def last_watermark_ms(self) -> int:
        """See :class:`streams.log.port.LogWriter`."""
        return self._log.last_watermark_ms()


class Throughput(msgspec.Struct, frozen=True):
    """Out of a full session queue: events, records they came to, seconds of wall time and of CPU."""

    events: int
    records: int
    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return (
            f"throughput mosquitto: {self.events} events in {self.wall_s:.1f} s: {self.events / self.wall_s:,.0f} "
            f"events/s of wall time, {self.events / self.cpu_s:,.0f} of CPU, "
            f"{self.events / max(self.records, 1):.0f} events a record"
        )


class Latency(msgspec.Struct, frozen=True):
    """At a rate: (p50, p99) in ms until events are durable, and until the time behind them is."""

    broker: str
    rate_per_s: float
    sent: int
    logged: int
    durable_ms: tuple[float, float]
    proven_ms: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"latency {self.broker} at {self.rate_per_s:g} events/s ({self.logged} of {self.sent}): "
            f"durable p50 {self.durable_ms[0]:.0f} ms, p99 {self.durable_ms[1]:.0f} ms, "
            f"time behind it p50 {self.proven_ms[0]:.0f} ms, p99 {self.proven_ms[1]:.0f} ms"
        )


def publish(port: int, events: int, rate: float) -> None:
    """Send heartbeats of 200 gates, QoS 1, at ``rate`` a second (0: as fast as the broker takes them)."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    began_s, last = time.monotonic(), None
    for n in range(events):
        if rate:
            time.sleep(max(began_s + n / rate - time.monotonic(), 0))  # the rate that is asked for
        elif n % 1_000 == 0 and last is not None:
            last.wait_for_publish(30)
        last = client.publish(f"linli/v1/s1/gate/g{n % DEVICES}/evt", _ENCODER.encode(_event(n)), qos=1)
    if last is not None:
        last.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def throughput(folder: Path, events: int) -> Throughput:
    """Return events a second out of a full session queue of mosquitto."""
    broker = start_broker(folder / "broker", kind="mosquitto")
    log = TimedLog(folder / "log")
    try:
        _run(_shard(broker.url, broker.protocol, log, folder), lambda shard: shard.wait_ready(10))
        publish(broker.port, events, 0)
        shard, cpu_s, began_s = _shard(broker.url, broker.protocol, log, folder), time.process_time(), time.monotonic()
        _run(shard, lambda _: _wait(lambda: log.events >= events, 120))
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    finally:
        broker.stop()
    return Throughput(log.events, log.batches, took_s, cpu_s)


def latency(folder: Path, kind: str, rate: float, seconds: float) -> Latency:
    """Return how long events and the time behind them take at ``rate``."""
    broker = start_broker(folder / "broker", kind=kind)
    log = TimedLog(folder / "log")
    count = int(rate * seconds)

    def load(shard: Shard) -> None:
        shard.wait_ready(10)
        publisher = multiprocessing.get_context("spawn").Process(target=publish, args=(broker.port, count, rate))
        publisher.start()
        publisher.join()
        _wait(lambda: len(log.proven_ms) >= count, 10)

    try:
        _run(_shard(broker.url, broker.protocol, log, folder), load)
    finally:
        broker.stop()
    return Latency(broker.name, rate, count, log.events, _quantiles(log.durable_ms), _quantiles(log.proven_ms))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0, help="default: 500 with mosquitto, 200 with amqtt")
    parser.add_argument("--broker", choices=["mosquitto", "amqtt"], default="mosquitto")
    chosen = parser.parse_args()
    if chosen.broker == "mosquitto":
        with tempfile.TemporaryDirectory() as folder:
            print(throughput(Path(folder), min(chosen.events, 200_000)), flush=True)
    rate = chosen.rate or (500.0 if chosen.broker == "mosquitto" else 200.0)
    with tempfile.TemporaryDirectory() as folder:
        print(latency(Path(folder), chosen.broker, rate, min(chosen.seconds, 300.0)), flush=True)


def _event(n: int) -> AnyEvent:
    return DeviceReported(
        event_id=f"e{n}",
        site_id="s1",
        source_id=f"g{n % DEVICES}",
        place_id="door-1",
        at_ms=wall_ms(),
        seq=n // DEVICES,
    )


def _site() -> SiteConfigured:
    return SiteConfigured(
        event_id="", site_id="s1", source_id="config", place_id="s1", at_ms=0, version=0, name="bench"
    )


def _device(n: int) -> DeviceConfigured:
    return DeviceConfigured(
        event_id="",
        site_id="s1",
        source_id="config",
        place_id="door-1",
        at_ms=0,
        version=0,
        device_id=f"g{n}",
        device_class=DeviceClass.GATE,
    )


def _shard(url: str, protocol: str, log: TimedLog, folder: Path) -> Shard:
    inventory = Inventory(folder / "config.db")
    inventory.put([_site(), *[_device(n) for n in range(DEVICES)]])
    settings = ShardSettings(mqtt_url=url, protocol=protocol, events_per_s=1e6, events_burst=1e6)
    return Shard(settings, log, inventory, DeadLetters(folder / "dead"))


def _run(shard: Shard, work: Callable[[Shard], object]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=shard.run, args=(stop,))
    thread.start()
    try:
        work(shard)
    finally:
        stop.set()
        thread.join()


def _wait(done: Callable[[], bool], timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while not done() and time.monotonic() < end_s:
        time.sleep(0.02)  # counts of other threads can only be asked for


def _quantiles(values_ms: list[int]) -> tuple[float, float]:
    """Return (p50, p99); not a number when there are too few."""
    if len(values_ms) < 2:
        return math.nan, math.nan
    cuts = statistics.quantiles(values_ms, n=100)
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main()
