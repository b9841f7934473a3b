"""Partitions merged and divided anew: whatever happened and however time came, every site's outputs stay."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.operations.migration.rehash import SourcePartition, rehashed
from contracts.batch import Batch, encode_batch
from contracts.events import ClockStepped, event_header
from contracts.findings import Output
from contracts.names import partition_of
from streams.engine.engine import Engine
from tests.app.operations.migration.test_log_copy import MemoryPartition
from tests.streams.archive.support import moved
from tests.streams.histories import SITES, history
from tests.streams.rules import small_rules
from tests.streams.support import batch, by_site, passage


def sites_at_home(partition: int, partitions: int, count: int) -> list[str]:
    """Names of sites that live there."""
    names = (f"home{n}" for n in itertools.count())
    return list(itertools.islice((s for s in names if partition_of(s, partitions) == partition), count))


def lived(seed: int, partition: int, partitions: int) -> list[Batch]:
    """A history of one partition of many, with sites of its own."""
    names = dict(zip(SITES, sites_at_home(partition, partitions, len(SITES)), strict=True))
    return [
        msgspec.structs.replace(
            record,
            partition=partition,
            events=tuple(msgspec.structs.replace(e, site_id=names[e.site_id]) for e in record.events),
        )
        for record in history(seed, 250)
    ]


def sources_of(logs: Sequence[Sequence[Batch]]) -> list[SourcePartition]:
    return [SourcePartition(MemoryPartition(list(map(encode_batch, log)))) for log in logs]


def outputs_of(log: Sequence[Batch], partition: int, partitions: int) -> list[Output]:
    engine = Engine(small_rules(), partition=partition, partitions=partitions, log_id="x")
    return [output for position, record in enumerate(log) for output in engine.feed(record, position)]


def judged(logs: Sequence[Sequence[Batch]]) -> dict[str, list[Output]]:
    """Each site's outputs, in a log of these partitions."""
    return by_site(o for number, log in enumerate(logs) for o in outputs_of(log, number, len(logs)))


def divided(records: Sequence[Batch], partitions: int) -> list[list[Batch]]:
    return [[record for record in records if record.partition == number] for number in range(partitions)]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 3), st.integers(1, 7))
def test_any_number_of_partitions_made_any_other_gives_each_site_the_same(seed: int, old: int, new: int) -> None:
    logs = [lived(seed + number, number, old) for number in range(old)]
    copied = divided(list(rehashed(sources_of(logs), new)), new)
    found = judged(logs)
    assert sum(map(len, found.values())) > 10
    assert judged(copied) == found


def test_time_is_what_is_proven_for_all_that_share_a_partition_and_comes_no_later() -> None:
    """Two partitions made one; the first one's time is ahead."""
    (first,), (second,) = sites_at_home(0, 2, 1), sites_at_home(1, 2, 1)
    ahead = [batch(ms, passage(f"a{ms}", ms, site_id=first)) for ms in (1_000, 5_000)]
    behind = [batch(ms, passage(f"b{ms}", ms, site_id=second), partition=1) for ms in (900, 2_000, 4_000)]
    merged = list(rehashed(sources_of([ahead, behind]), 1))
    assert [record.events[0].event_id for record in merged] == ["a1000", "b900", "b2000", "a5000", "b4000"]
    assert [record.watermark_ms for record in merged] == [
        batch(ms).watermark_ms for ms in (None, 900, 1_000, 2_000, 4_000)
    ]


def test_what_the_rules_have_passed_over_is_left_out() -> None:
    (home,), (astray,) = sites_at_home(0, 2, 1), sites_at_home(1, 2, 1)
    log = [batch(n, passage(f"e{n}", n, site_id=site_id)) for n, site_id in enumerate((home, astray, home, home), 1)]
    log[2] = msgspec.structs.replace(log[2], partition=1)
    sources = sources_of([log, []])
    given_up = [msgspec.structs.replace(sources[0], skipped=frozenset({3})), sources[1]]
    assert [e.event_id for record in rehashed(sources, 4) for e in record.events] == ["e1", "e4"]
    assert [e.event_id for record in rehashed(given_up, 4) for e in record.events] == ["e1"]


@pytest.mark.parametrize("by_ms", [-60 * 86_400_000, 5 * 3_600_000])
@pytest.mark.parametrize("new", [1, 3])
def test_a_log_whose_time_stepped_steps_in_every_new_partition(by_ms: int, new: int) -> None:
    life = lived(7, 0, 1)
    at = len(life) // 2
    at_ms = max(record.watermark_ms for record in life[:at]) + by_ms
    told = tuple(
        ClockStepped(
            **event_header(site_id, "ingest", site_id, at_ms, f"step-{site_id}"),
            received_ms=at_ms,
            step_ms=by_ms,
            shift_ms=by_ms,
        )
        for site_id in sites_at_home(0, 1, len(SITES))
    )
    log = [*life[:at], Batch(partition=0, watermark_ms=at_ms, events=told), *moved(life[at:], by_ms)]
    copied = divided(list(rehashed(sources_of([log]), new)), new)
    found = judged([log])
    assert sum(map(len, found.values())) > 10
    assert judged(copied) == found
