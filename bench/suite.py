"""The benches in brief: what each comes to in a minute or so, against what is required."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

import edge as edge_room
from bench import demo as demo_bench
from bench import district as district_bench
from bench import edge as edge_bench
from bench import engine as engine_bench
from bench import falling as falling_bench
from bench import ingest as ingest_bench
from bench import kafka_ingest as kafka_bench
from bench import latency as latency_bench
from bench import memory as memory_bench
from bench import recovery as recovery_bench
from bench import results as results_bench
from bench import streams as streams_bench
from bench.composites import SIZES
from bench.figures import Figure
from bench.mix import Mix
from contracts.batch import encode_batch
from detectors.registry import all_rules
from system.clock import wall_ms

MODELS = Path(edge_room.__file__).parent / "models"
FRAME_MS, KEPT_PER_S, LOOKS_PER_S = 1_000 / 30, 15, 5


def engine() -> Iterator[Figure]:
    """Yield events a second through the six rules on one core, in memory and from disk with durable findings."""
    events = engine_bench.lived(60_000, seed=1)
    batches = engine_bench.cut(events, 8)
    records = [encode_batch(batch) for batch in batches]
    rules = all_rules()
    memory = engine_bench.measured(len(events), lambda: engine_bench.in_memory(records, rules))
    yield _speed("events/s of CPU in memory, 8 a batch", memory)
    yield _speed("events/s of CPU from disk, findings durable", engine_bench.durable(batches, len(events)))
    kept = engine_bench.on_disk(batches[:2_000], 16_000)
    yield Figure("log on disk, 8 a batch", f"{kept:.0f} B an event", "≤ 100 B", met=kept <= 100)


def _speed(what: str, speed: engine_bench.Speed) -> Figure:
    per_s = speed.events / speed.cpu_s
    return Figure(what, f"{per_s:,.0f}", "≥ 20,000, aim 40,000", met=per_s >= 20_000)


def ingest() -> Iterator[Figure]:
    """Measure the way from MQTT to a durable log: events a second out of a full queue, and delay at a steady rate."""
    with tempfile.TemporaryDirectory() as folder:
        full = ingest_bench.throughput(Path(folder), 20_000)
    yield Figure("events/s of CPU out of a full mosquitto queue", f"{full.events / full.cpu_s:,.0f}")
    yield Figure("... of wall time", f"{full.events / full.wall_s:,.0f}")
    for broker, rate in (("mosquitto", 500.0), ("amqtt", 200.0)):
        with tempfile.TemporaryDirectory() as folder:
            delay = ingest_bench.latency(Path(folder), broker, rate, 10.0)
        (p50, p99), (time50, time99) = delay.durable_ms, delay.proven_ms
        yield Figure(f"{broker}, {rate:g}/s: published → durable, p50 and p99", f"{p50:.0f} and {p99:.0f} ms")
        yield Figure(f"{broker}, {rate:g}/s: → time behind it durable", f"{time50:.0f} and {time99:.0f} ms")


def latency() -> Iterator[Figure]:
    """Yield how long over due a finding of `linli run` is on the feed, all rules at work."""
    for broker, rate in (("mosquitto", 500.0), ("amqtt", 200.0)):
        run = latency_bench.measure(broker, rate, 25.0, seed=1)
        over = [delay.over_due_ms for delay in run.delays]
        p50, p99 = (latency_bench.quantile_ms(over, q) for q in (0.5, 0.99))
        yield Figure(f"{broker}: events/s in the log", f"{run.logged_per_s:.0f}", f"{rate:g}")
        yield Figure(
            f"{broker}: over due, p50 and p99 of {len(over)}",
            f"{p50} and {p99} ms",
            "≤ 300 and ≤ 1,000 ms",
            met=p50 <= 300 and p99 <= 1_000,
        )


def memory() -> Iterator[Figure]:
    """Yield the most memory of `linli run` over 5,856 devices and 20,000 registrations."""
    yield from memory_bench.figures()


def falling() -> Iterator[Figure]:
    """Recall and false alarms of the falling-object analyser on composites with unseen seeds."""
    cv2.setNumThreads(1)
    shared = falling_bench.shared_folder()
    tallies, shown = falling_bench.run(6, 20, 5_000, shared, SIZES[:1])
    for mode, tally in tallies.items():
        alarms = sum(tally.false_alarms.values())
        yield Figure(f"{mode}: falls found, reported twice", f"{tally.found} of {tally.falls}, {tally.twice}")
        yield Figure(f"{mode}: false alarms on {sum(shown.values())} nuisances", str(alarms))


def edge() -> Iterator[Figure]:
    """Yield what a 720p camera costs a box: decoding, falling objects, detector, evidence."""
    with tempfile.TemporaryDirectory() as folder:
        parts = {p.part: p for p in edge_bench.parts(_film(Path(folder)), MODELS / "demo_scenes.toml", 200)}
    for part in parts.values():
        yield Figure(f"{part.part}, mean and p95", f"{part.mean_ms:.1f} and {part.p95_ms:.1f} ms")
    kept = parts["keep for evidence (15 a second)"].mean_ms * KEPT_PER_S
    frame_ms = parts["decode"].mean_ms + parts["falling"].mean_ms + kept / 30
    load = frame_ms / FRAME_MS
    yield Figure("a facade camera at 30 frames/s, of one core", f"{load:.0%}", "real time: < 100%", met=load < 1)
    looks_ms = parts["decode"].mean_ms * 30 + (parts["detect"].mean_ms + parts["track"].mean_ms) * LOOKS_PER_S
    yield Figure("a gate camera, five looks a second, of one core", f"{(looks_ms + kept) / 1_000:.0%}")


def _film(folder: Path) -> Path:
    """Return a real 720p facade where there is one, else a rendered one."""
    shared = falling_bench.shared_folder()
    real = shared / "clips" / "falling" / "facade_office1.mp4" if shared else None
    if real is not None and real.exists():
        return real
    film = folder / "facade.mp4"
    scene = ("facade", "--seed", "1", "--seconds", "8", "--out", str(film), "--truth", str(folder / "truth.jsonl"))
    subprocess.run([sys.executable, "-m", "simulator.scenes", *scene], check=True, stdout=subprocess.DEVNULL)
    return film


def results() -> Iterator[Figure]:
    """Measure points a second through the spool into InfluxDB and results.db, and events a second."""
    yield from results_bench.figures(100_000)


def kafka() -> Iterator[Figure]:
    """Yield one shard of ingest, MQTT to Kafka, under the public mix."""
    with tempfile.TemporaryDirectory() as folder:
        yield from kafka_bench.figures(kafka_bench.measure(Path(folder), 8_000.0, 15.0, 1), 1)


def streams() -> Iterator[Figure]:
    """Yield a worker, Kafka to findings, beside an empty Faust agent; no kills."""
    yield from streams_bench.figures(60_000, [8, 64], 0)


def district() -> Iterator[Figure]:
    """Measure everything a district is made of, MQTT to incident, for a minute."""
    mix = Mix(2_000.0, wall_ms())
    with district_bench.loaded_district(mix, 1) as running:
        run = district_bench.measure(running, mix, 60.0)
    yield from district_bench.summary(run)
    yield from district_bench.costs(run)


def recovery() -> Iterator[Figure]:
    """Yield how long findings stay out when a worker of a district is killed."""
    yield from recovery_bench.figures(recovery_bench.measure(1_500.0, 2, 5))


def demo() -> Iterator[Figure]:
    """Yield what a stranger sees of `linli demo`: set-up, first incident, every rule, latency, the end."""
    yield from demo_bench.figures(demo_bench.measure(90.0, seed=1))


SUITE: dict[str, Callable[[], Iterator[Figure]]] = {
    "engine": engine,
    "ingest": ingest,
    "latency": latency,
    "memory": memory,
    "falling": falling,
    "edge": edge,
    "results": results,
    "kafka": kafka,
    "streams": streams,
    "district": district,
    "recovery": recovery,
    "demo": demo,
}
"""name → bench, in the order they are run."""
