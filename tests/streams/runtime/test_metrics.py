"""A worker's figures for Prometheus: what is asked for is what its partitions say now."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from streams.runtime.metrics import WorkerMetrics
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.progress import PartitionProgress
from streams.runtime.worker import OwnedPartition
from tests.streams.memory import MemoryCheckpointStore, MemoryLog
from tests.streams.rules import RULES
from tests.streams.support import T0, access, batch, engine_of


def test_figures_are_read_from_the_partitions_when_somebody_asks() -> None:
    log = MemoryLog([batch(500, access("a", 0, granted=False)), batch(1_000)], visible=1)

    async def owned() -> OwnedPartition:
        return OwnedPartition(0, PartitionDriver(log, MemoryCheckpointStore(), engine_of(RULES)), 0.0)

    one = asyncio.run(owned())
    one.driver.open()
    registry = CollectorRegistry()
    progress = {0: PartitionProgress(1, 2, one.driver.watermark_ms, "why")}
    registry.register(WorkerMetrics(lambda: [one], lambda: progress, lambda: T0 + 2_500))
    one.driver.deliver(0, log.records[0])

    def value(name: str) -> float | None:
        return registry.get_sample_value(name, {"partition": "0"})

    assert (value("linli_streams_records_total"), value("linli_streams_events_total")) == (1.0, 1.0)
    assert (value("linli_streams_findings_total"), value("linli_streams_repeats_total")) == (1.0, 1.0)
    assert value("linli_streams_ids_reused_total") == 0.0
    assert (value("linli_streams_lag_records"), value("linli_streams_stopped")) == (1.0, 1.0)
    assert value("linli_streams_watermark_age_seconds") == 2.0
