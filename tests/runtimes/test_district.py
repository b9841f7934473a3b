"""The same findings from Faust on a real broker: golden scenarios and a day of eight sites, one worker and three."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import msgspec
import pytest

from contracts.events import AnyEvent
from contracts.names import partition_of
from simulator.generate import SimulationRequest, generate
from tests.detectors.golden import events_of
from tests.runtimes.runtimes import Judged, in_memory
from tests.runtimes.test_same_findings import SCENARIOS
from tests.support.district import district
from tests.support.kafka import RunningKafka
from tests.support.waiting import until

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow, pytest.mark.timeout(600)]
PARTITIONS = 3


@cache
def _events() -> list[AnyEvent]:
    """The day, and each scenario as sites of their own, in order of acceptance."""
    files = [generate(SimulationRequest(seed=5, days=1, sites=8)).events]
    files += [[_moved(event, number) for event in events_of(name)] for number, name in enumerate(SCENARIOS)]
    return sorted(itertools.chain(*files), key=lambda event: event.received_ms)


def _moved(event: AnyEvent, number: int) -> AnyEvent:
    return msgspec.structs.replace(event, site_id=f"scenario-{number}-{event.site_id}")


@cache
def _reference() -> Judged:
    return in_memory(_events(), Path())


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_on_kafka_find_what_replay_finds(kafka: RunningKafka, tmp_path: Path, workers: int) -> None:
    with district(kafka.url, tmp_path, partitions=PARTITIONS) as over:
        with over.workers(*(f"w{n}" for n in range(workers))) as running:
            over.load(_events()[:50])  # what comes later is delivered, since they have their partitions by then
            until(lambda: any(over.position(p) for p in range(PARTITIONS)), "a worker to have its partitions")
            over.load(_events()[50:])
            over.wait_until_judged()
            assert [worker.stop() for worker in running] == [0] * workers
        assert over.findings() == _reference()
    assert {partition_of(site_id, PARTITIONS) for site_id in _reference()} == set(range(PARTITIONS))
