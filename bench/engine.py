"""Events a second through the rules on one core: decode, reordering, dedupe and batching; durable findings beside it.

Run: ``python -m bench.engine [--events N] [--seed N]``. Figures are events per second of this process's own CPU time,
so that other work on the machine plays little part; wall time stands beside them. Required: 20,000; aim: 40,000.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from contracts.batch import Batch, decode_batch, encode_batch
from contracts.events import AnyEvent
from detectors.registry import all_rules
from simulator.generate import SimulationRequest, generate
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver

SITES = 8


class Speed(msgspec.Struct):
    """One measurement: events, CPU seconds and wall seconds."""

    events: int
    cpu_s: float
    wall_s: float

    def __str__(self) -> str:
        return f"{self.events / self.cpu_s:9,.0f} events/s of CPU  {self.events / self.wall_s:9,.0f} of wall time"


def measured(events: int, work: Callable[[], object]) -> Speed:
    """Return how long ``work`` took over ``events`` events."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return Speed(events, time.process_time() - cpu_s, time.perf_counter() - wall_s)


def lived(events: int, seed: int) -> list[AnyEvent]:
    """Return the first ``events`` of a simulated day of eight communities, with configuration, as accepted."""
    return generate(SimulationRequest(seed=seed, days=1, sites=SITES)).events[:events]


def cut(events: Sequence[AnyEvent], size: int) -> list[Batch]:
    """Return batches of ``size``, each releasing everything its writer had received."""
    batches = []
    for start in range(0, len(events), size):
        after = events[start + size] if start + size < len(events) else events[-1]
        batches.append(
            Batch(partition=0, watermark_ms=after.received_ms - 1, events=tuple(events[start : start + size]))
        )
    return batches


def new_engine(rules: Sequence[Any], log_id: str = "bench") -> Engine:
    """Return an engine for one partition."""
    return Engine(rules, partition=0, partitions=1, log_id=log_id)


def in_memory(records: Sequence[bytes], rules: Sequence[Any], *, snapshot_every: int = 0) -> int:
    """Decode and feed ``records``; how many findings. Each changed site is snapshotted every so many records."""
    engine, findings = new_engine(rules), 0
    for position, record in enumerate(records):
        findings += len(engine.feed(decode_batch(record), position))
        if snapshot_every and position % snapshot_every == snapshot_every - 1:
            for site_id in engine.changed_sites():
                engine.snapshot(site_id)
            engine.manifest()
    return findings


def on_disk(batches: Sequence[Batch], events: int) -> float:
    """Return bytes an event of a day log that got one batch at a time."""
    with tempfile.TemporaryDirectory() as folder:
        log = DayLog(Path(folder))
        for batch in batches:
            log.append([batch])
        log.close()
        return sum(path.stat().st_size for path in Path(folder).iterdir()) / events


def durable(batches: Sequence[Batch], events: int) -> Speed:
    """Return the embedded driver over a day log on disk: findings and snapshots fsynced."""
    with tempfile.TemporaryDirectory() as folder:
        log = DayLog(Path(folder))
        for start in range(0, len(batches), 64):
            log.append(batches[start : start + 64])
        store = SqliteCheckpointStore(Path(folder) / "engine.db")
        driver = PartitionDriver(log, store, new_engine(all_rules(), log.identity()))

        def work() -> None:
            driver.open()
            driver.save(SITES)

        speed = measured(events, work)
        store.close()
        log.close()
    return speed


class Timed:
    """A rule that notes how long it takes, and how often it is asked."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule
        self.calls = {"keys_of": 0, "on_event": 0, "on_deadline": 0}
        self.spent_ns = 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._rule, name)
        if name not in {"keys_of", "on_event", "on_deadline", "deadline_ms", "initial"}:
            return value

        def timed(*arguments: Any) -> Any:
            began_ns = time.thread_time_ns()
            try:
                return value(*arguments)
            finally:
                self.spent_ns += time.thread_time_ns() - began_ns
                if name in self.calls:
                    self.calls[name] += 1

        return timed


def profile(records: Sequence[bytes], events: int) -> Iterator[str]:
    """Yield a line per rule: its own time per event of the log and per event it was given, and its calls."""
    timed = [Timed(rule) for rule in all_rules()]
    in_memory(records, timed)
    for rule in timed:
        keys, given = rule.calls["keys_of"], rule.calls["on_event"]
        yield (
            f"  {rule.name:22} {rule.spent_ns / events / 1000:6.2f} µs an event  "
            f"{rule.spent_ns / max(given, 1) / 1000:6.2f} µs a call  asked {keys:7,}  given {given:7,}  "
            f"deadlines {rule.calls['on_deadline']:6,}"
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    events = lived(options.events, options.seed)
    print(
        f"python -m bench.engine --events {options.events} --seed {options.seed}: {SITES} sites, {len(events)} events"
    )
    for size in (8, 64):
        batches = cut(events, size)
        records = [encode_batch(batch) for batch in batches]
        found = in_memory(records, all_rules())
        kept = on_disk(batches, len(events))
        said = f"{sum(map(len, records)) / len(events):.0f} B an event, {kept:.0f} B on disk, {found} outputs"
        print(f"{size:2} a batch, {said}")
        for what, speed in _speeds(batches, records, len(events), 10_000 // size):
            print(f"  {what:42} {speed}")
    print("by rule (CPU of their own code, timers included):")
    for line in profile(records, len(events)):
        print(line)


def _speeds(
    batches: Sequence[Batch], records: Sequence[bytes], events: int, snapshot_every: int
) -> Iterator[tuple[str, Speed]]:
    rules = all_rules()
    yield "decode alone", measured(events, lambda: [decode_batch(record) for record in records])
    yield "decode, engine and rules", measured(events, lambda: in_memory(records, rules))
    yield (
        "... every site snapshotted each 10,000",
        measured(events, lambda: in_memory(records, rules, snapshot_every=snapshot_every)),
    )
    yield "... from disk, findings durable", durable(batches, events)


if __name__ == "__main__":
    main()
