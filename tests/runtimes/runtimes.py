"""The ways to run the rules over a file of events. Every scenario must give the same findings in all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from app.log_loading import load_events
from contracts.events import AnyEvent
from contracts.findings import Finding, Output
from detectors.registry import all_rules
from streams.daylog import DayLog
from streams.drivers.embedded import EmbeddedDriver
from streams.engine import Engine
from streams.engine_store import EngineStore
from streams.log import LogReader, LogRecord
from streams.run_file import run_file

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


RUNTIMES: dict[str, Runtime] = {
    "in memory": in_memory,
    "in memory, five partitions, small batches": in_memory_partitioned,
    "embedded": embedded,
    "embedded, restarted": embedded_restarted,
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


def _open(log: LogReader, folder: Path) -> tuple[EmbeddedDriver, EngineStore]:
    store = EngineStore(folder / "engine.db")
    engine = Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())
    return EmbeddedDriver(log, store, engine), store


def _close(log: DayLog, store: EngineStore) -> Judged:
    judged = per_site([finding for _, finding in store.findings_after(0, 10_000_000)])
    store.close()
    log.close()
    return judged
