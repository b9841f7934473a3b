"""A file becomes batches whose findings depend neither on the number of partitions nor on the sizes of batches."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.batch import Batch, encode_batch
from contracts.durations import DAY_MS
from contracts.events import AnyEvent, ClockStepped, event_header
from contracts.findings import Finding, Rejudge
from contracts.names import partition_of
from streams.engine.batching import batches_of
from streams.engine.in_memory_run import run_file
from tests.streams.histories import history
from tests.streams.rules import RULES, Denial, Silence, small_rules
from tests.streams.support import T0, access, bare, device, reported


def _lived(seed: int, events: int) -> list[AnyEvent]:
    return [event for batch in history(seed, events) for event in batch.events]


def _shape(batches: Sequence[Batch]) -> list[tuple[int, int, list[str]]]:
    return [
        (b.partition, b.watermark_ms - T0 if b.watermark_ms else 0, [event.event_id for event in b.events])
        for b in batches
    ]


def test_a_slice_ends_at_the_full_ten_seconds_after_its_events() -> None:
    events = [access("a", 0), access("b", 9_999), access("c", 10_000), access("d", 25_000)]
    assert _shape(list(batches_of(events, 1))) == [
        (0, 10_000, ["a", "b"]),
        (0, 20_000, ["c"]),
        (0, 30_000, ["d"]),
    ]


def test_a_pause_is_closed_by_one_empty_batch_before_what_follows_it() -> None:
    events = [access("a", 0), access("b", 3_600_005)]
    assert _shape(list(batches_of(events, 1))) == [
        (0, 10_000, ["a"]),
        (0, 3_600_000, []),
        (0, 3_610_000, ["b"]),
    ]


def test_every_partition_gets_the_end_of_every_slice_even_without_events() -> None:
    assert partition_of("s1", 2) == 0
    assert _shape(list(batches_of([access("a", 1)], 2))) == [(0, 10_000, ["a"]), (1, 10_000, [])]


def test_batches_before_the_last_of_a_slice_say_nothing_about_time() -> None:
    events = [access(f"e{n}", n) for n in range(5)]
    assert _shape(list(batches_of(events, 1, max_events=2))) == [
        (0, 0, ["e0", "e1"]),
        (0, 0, ["e2", "e3"]),
        (0, 10_000, ["e4"]),
    ]


def test_an_event_received_before_its_predecessor_stays_in_the_running_slice() -> None:
    events = [access("a", 12_000), access("b", 9_000), access("c", 20_000)]
    assert [ids for _, _, ids in _shape(list(batches_of(events, 1)))] == [["a", "b"], ["c"]]


def test_no_batch_is_over_its_bounds() -> None:
    wide = [access(f"e{n}", n, reason="x" * 80, person_ref="y" * 64) for n in range(600)]
    cut = list(batches_of(wide, 1, max_bytes=20_000))
    assert all(len(encode_batch(b)) <= 20_000 for b in cut)
    assert max(len(b.events) for b in batches_of([access(f"e{n}", n) for n in range(1_100)], 1)) == 512
    assert sum(len(b.events) for b in cut) == 600


def test_an_empty_file_gives_nothing() -> None:
    assert list(batches_of([], 4)) == []
    assert list(run_file([], RULES)) == []


def test_at_the_end_of_the_file_no_deadline_is_flushed() -> None:
    quiet: list[AnyEvent] = [device(1, 0, "d1"), reported("r1", 49_000)]
    assert list(run_file(quiet, [Silence()])) == []
    (silent,) = run_file([*quiet, reported("r2", 109_100, "d2")], [Silence()])
    assert isinstance(silent, Finding)
    assert silent.key == "d1"


def test_findings_come_by_slice_then_site_then_as_decided() -> None:
    sites = (("s2", 100), ("s1", 9_000), ("s2", 50), ("s1", 12_000))
    events = [access(f"e{at_ms}", at_ms, granted=False, site_id=site) for site, at_ms in sites]
    found = [
        (f.site_id, f.onset_event_id)
        for f in run_file([*events, access("z", 30_000)], [Denial()])
        if isinstance(f, Finding)
    ]
    assert found == [("s1", "e9000"), ("s2", "e50"), ("s2", "e100"), ("s1", "e12000")]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 40))
def test_findings_depend_neither_on_partitions_nor_on_batch_sizes(seed: int, partitions: int, max_events: int) -> None:
    events = _lived(seed, 120)
    clean = [bare(output) for output in run_file(events, small_rules())]
    other = run_file(events, small_rules(), partitions=partitions, max_events=max_events)
    assert [bare(output) for output in other] == clean
    assert any(isinstance(output, Finding) for output in clean)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_long_file_gives_the_same_in_one_partition_and_in_24(seed: int) -> None:
    events = _lived(seed, 3_000)
    one, many = (list(map(bare, run_file(events, small_rules(), partitions=n))) for n in (1, 24))
    assert one == many
    assert {type(output) for output in one} == {Finding, Rejudge}


def test_a_step_of_the_logs_time_begins_another_slice_in_a_file() -> None:
    step = _step(15_000 - DAY_MS, -DAY_MS)
    other = msgspec.structs.replace(step, event_id="again", site_id="s2")
    events: list[AnyEvent] = [access("a", 0), step, other, access("b", 20_000 - DAY_MS)]
    assert _shape(list(batches_of(events, 1))) == [
        (0, 15_000, ["a"]),
        (0, 20_000 - DAY_MS, ["step", "again"]),
        (0, 30_000 - DAY_MS, ["b"]),
    ]


def _step(at: int, shift_ms: int) -> ClockStepped:
    header = event_header("s1", "ingest", "s1", T0 + at, "step")
    return ClockStepped(**header, received_ms=T0 + at, step_ms=shift_ms, shift_ms=shift_ms)
