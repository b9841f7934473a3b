"""A log into one with more partitions: every site's story as it was, from wherever it was broken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.operations.migration.log_copy import CopyTarget, PartitionCopy, copy_log
from app.operations.migration.rehash import SourcePartition, rehashed
from app.wiring.log_loading import load_events
from contracts.batch import Batch, decode_batch, encode_batch
from contracts.errors import ConfigurationError, Transient
from contracts.findings import Finding, Output
from contracts.names import partition_of
from detectors.registry import all_rules
from simulator.generate import SimulationRequest, World, generate
from streams.engine.engine import Engine
from streams.log.port import LogRecord
from streams.log.sqlite.day_log import DayLog
from tests.runtimes.runtimes import per_site
from tests.streams.support import passage

PARTITIONS = 6


class MemoryPartition:
    """One partition in memory, as a reader."""

    def __init__(self, records: list[bytes]) -> None:
        self.records = records

    def identity(self) -> str:
        return "memory"

    def begin(self) -> int:
        return 0

    def end(self) -> int:
        return len(self.records)

    def read(self, position: int, limit: int) -> list[LogRecord]:
        held = self.records[position : position + limit]
        return [LogRecord(position + n, data) for n, data in enumerate(held)]


class MemoryLog:
    """A log of partitions in memory; ``dies_after`` so many records it is away."""

    def __init__(self, partitions: int = PARTITIONS, dies_after: int = 1_000_000) -> None:
        self.partitions: list[list[bytes]] = [[] for _ in range(partitions)]
        self.dies_after = dies_after

    def append(self, batches: Sequence[Batch]) -> list[int]:
        positions = []
        for batch in batches:
            if not self.dies_after:
                raise Transient("the brokers are away")
            self.dies_after -= 1
            self.partitions[batch.partition].append(encode_batch(batch))
            positions.append(len(self.partitions[batch.partition]) - 1)
        return positions

    def last_watermark_ms(self) -> int:
        return 0

    def target(self) -> CopyTarget:
        return CopyTarget(len(self.partitions), lambda p: MemoryPartition(self.partitions[p]), self)


def small_log(folder: Path, sites: int = 4) -> DayLog:
    """Two hundred passages at a few sites."""
    events = [passage(f"e{n}", n * 700, "g1", site_id=f"s{n % sites}") for n in range(200)]
    log = DayLog(folder)
    load_events(log, events)
    return log


def records_of(log: DayLog) -> Iterator[Batch]:
    """Every record as it is; a read ends with its day's file."""
    position = 0
    while records := log.read(position, 1_000):
        yield from (decode_batch(record.data) for record in records)
        position += len(records)


def findings_of(batches: Sequence[Batch], partitions: int) -> dict[str, list[Finding]]:
    """Return what the rules find, partition by partition."""
    engines = [Engine(all_rules(), partition=p, partitions=partitions, log_id="x") for p in range(partitions)]
    outputs: list[Output] = []
    for batch in batches:
        engine = engines[batch.partition]
        outputs += engine.feed(batch, engine.next_position)
    return per_site(outputs)


@pytest.fixture(scope="module")
def world() -> World:
    return generate(SimulationRequest(seed=11, days=1, sites=3))


@pytest.mark.slow
def test_the_rules_find_the_same_at_every_site_in_the_copy(tmp_path: Path, world: World) -> None:
    log = DayLog(tmp_path)
    load_events(log, world.events)
    batches = list(records_of(log))
    copied = list(rehashed([SourcePartition(log)], PARTITIONS))
    assert len({batch.partition for batch in copied}) > 1
    found = findings_of(copied, PARTITIONS)
    assert sum(map(len, found.values())) > 50
    assert found == findings_of(batches, 1)
    log.close()


def test_events_are_in_their_sites_partition_and_time_reaches_each_from_its_start(tmp_path: Path) -> None:
    log = small_log(tmp_path)
    originals = list(records_of(log))
    copied = list(rehashed([SourcePartition(log)], PARTITIONS))
    assert all(partition_of(e.site_id, PARTITIONS) == b.partition for b in copied for e in b.events)
    assert sorted(e.event_id for b in copied for e in b.events) == sorted(
        e.event_id for b in originals for e in b.events
    )
    for partition in {batch.partition for batch in copied}:
        marks = [batch.watermark_ms for batch in copied if batch.partition == partition]
        assert marks == [batch.watermark_ms for batch in originals][-len(marks) :]
    log.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=4))
def test_broken_off_anywhere_and_started_again_it_ends_as_if_it_had_not_been(deaths: list[int]) -> None:
    batches = _some_batches()
    clean = MemoryLog(3)
    expected = copy_log(batches, clean.target())
    log = MemoryLog(3)
    for records in deaths:
        log.dies_after = records
        try:
            copy_log(batches, log.target())
        except Transient:
            continue
    log.dies_after = 1_000_000
    assert copy_log(batches, log.target()) == expected
    assert log.partitions == clean.partitions
    assert copy_log(batches, log.target()) == expected  # and nothing is appended twice
    assert log.partitions == clean.partitions


def _some_batches() -> list[Batch]:
    return [
        Batch(partition=n % 3, watermark_ms=n, events=(passage(f"e{n}", n, "g1", site_id=f"s{n % 3}"),))
        for n in range(50)
    ]


def test_a_target_that_holds_something_else_is_refused_and_left_alone() -> None:
    batches = _some_batches()
    for foreign in (Batch(partition=0, watermark_ms=5), batches[3]):
        log = MemoryLog(3)
        log.append([foreign])
        with pytest.raises(ConfigurationError, match=r"another record at position 0.*linli topics create"):
            copy_log(batches, log.target())
        assert sum(map(len, log.partitions)) == 1
    log = MemoryLog(4)
    log.append([Batch(partition=3, watermark_ms=5)])
    with pytest.raises(ConfigurationError, match="no sites for"):
        copy_log(batches[:10], log.target())


def test_what_the_district_has_appended_since_does_not_matter() -> None:
    batches, log = _some_batches(), MemoryLog(3)
    expected = copy_log(batches, log.target())
    log.append([Batch(partition=1, watermark_ms=99)])
    assert copy_log(batches, log.target()) == expected


def test_a_record_that_cannot_be_read_is_left_out() -> None:
    log = MemoryPartition([encode_batch(Batch(partition=0, watermark_ms=1)), b"torn"])
    assert list(rehashed([SourcePartition(log)], 2, ["s1"])) == [Batch(partition=partition_of("s1", 2), watermark_ms=1)]


def test_digests_depend_on_the_order() -> None:
    one, other = PartitionCopy(), PartitionCopy()
    for data in (b"a", b"b"):
        one.add(data)
    for data in (b"b", b"a"):
        other.add(data)
    assert (one.records, other.records) == (2, 2)
    assert one != other
