"""One suite over every runtime: a simulated day gives the same findings in memory and embedded."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.findings import Finding
from detectors.registry import all_rules
from simulator.generate import SimulationRequest, generate
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.batching import batches_of
from streams.engine.engine import Engine
from streams.engine.in_memory_run import run_file
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from tests.streams.support import by_site


@pytest.mark.slow
def test_a_simulated_day_gives_the_same_findings_in_memory_and_embedded(tmp_path: Path) -> None:
    events = generate(SimulationRequest(seed=3, days=1, sites=2)).events
    in_memory = [output for output in run_file(events, all_rules()) if isinstance(output, Finding)]
    log = DayLog(tmp_path)
    log.append(list(batches_of(events, 1, max_events=37)))
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    engine = Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())
    PartitionDriver(log, store, engine).open()
    embedded = [finding for _, finding in store.findings_after(0, 1_000_000)]
    store.close()
    log.close()
    assert by_site(embedded) == by_site(in_memory)
    assert len(embedded) > 20
