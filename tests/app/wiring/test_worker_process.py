"""A worker's process: what ends it is said in a way that a person can act on."""

from __future__ import annotations

import asyncio

import pytest

from app.wiring.workers import worker as worker_module
from app.wiring.workers.start import code_of
from app.wiring.workers.worker import drained
from contracts.errors import Transient
from streams.kafka import KafkaCluster
from streams.runtime.worker import PartitionWorker


def test_a_drain_that_the_brokers_do_not_take_says_so_and_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "DRAIN_S", 0.01)

    async def never(_worker: PartitionWorker) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(PartitionWorker, "drain", never)

    async def story() -> None:
        with KafkaCluster("kafka://127.0.0.1:1", "tests") as cluster:
            await drained(PartitionWorker(lambda _partition: pytest.fail("no partition is opened")), cluster)

    with pytest.raises(Transient, match=r"not drained: Kafka at 127\.0\.0\.1:1 .* ended in order") as ended:
        asyncio.run(story())
    assert code_of(ended.value) == 1
