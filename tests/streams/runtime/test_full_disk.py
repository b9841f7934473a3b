"""A disk that is full: what could not be kept says so as Transient, nothing is half there, and it goes on by itself.

A file system of 1 MiB is mounted for it, which only root may; elsewhere these tests are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.errors import RejectReason, Transient
from ingest.shard.dead_letters import DeadLetters, dead_letter
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from streams.results.points import point
from streams.results.spool import PointSpool, SourceBatch
from tests.streams.rules import small_rules
from tests.streams.support import T0, access, batch, engine_of
from tests.support.small_disk import SmallDisk, small_disk

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.patient]
ROOM_MB = 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of its own that holds a megabyte."""
    with small_disk(tmp_path / "disk", ROOM_MB) as disk:
        yield disk


def _fill_by(work: Callable[[int], object]) -> int:
    """Call ``work`` with 0, 1, … until the disk refuses; which one that was. A write-ahead log may have had room."""
    for number in range(2_000):
        try:
            work(number)
        except Transient:
            return number
    pytest.fail("a full disk was not noticed")


def test_the_log_of_batches_refuses_whole_appends_and_goes_on_with_the_same_one(disk: SmallDisk) -> None:
    log = DayLog(disk.folder / "log")
    disk.fill()

    def append(n: int) -> list[int]:
        events = [access(f"a{n}-{k}", n * 1_000 + k) for k in range(50)]
        return log.append([batch(n * 1_000, *events)])

    refused = _fill_by(append)
    assert log.end() == refused
    disk.free()
    assert append(refused) == [refused]
    assert len(log.read(0, 10_000)) == refused + 1
    log.close()


def test_findings_that_could_not_be_kept_are_kept_by_the_next_try(disk: SmallDisk) -> None:
    store = SqliteCheckpointStore(disk.folder / "engine.db")
    engine = engine_of(small_rules())
    found = [engine.feed(batch(n * 10_000, access(f"a{n}", n * 10_000, granted=False)), n) for n in range(1_000)]
    disk.fill()
    refused = _fill_by(lambda n: store.append_findings(found[n]))
    before = len(store.findings_after(0, 10_000))
    disk.free()
    assert store.append_findings(found[refused]) > 0
    assert len(store.findings_after(0, 10_000)) == before + len(found[refused])
    store.close()


def test_the_spool_of_results_keeps_neither_points_nor_cursor_of_what_had_no_room(disk: SmallDisk) -> None:
    spool = PointSpool(disk.folder / "spool.db")
    disk.fill()

    def step(n: int) -> int:
        points = [point("p", {"site": f"s{k}"}, {"n": k}, T0 + n * 1_000 + k, f"{n}/{k}") for k in range(200)]
        return spool.append([SourceBatch("log", "id", n + 1, points)], T0)

    refused = _fill_by(step)
    assert (spool.cursor("log", "id") or 0) == refused
    assert spool.depth().points == 200 * refused
    disk.free()
    assert step(refused) == 0
    assert spool.cursor("log", "id") == refused + 1
    spool.close()


def test_dead_letters_wait_in_memory_until_there_is_room(disk: SmallDisk) -> None:
    letters = DeadLetters(disk.folder / "dead")
    disk.fill()
    added = 0

    def bury(n: int) -> None:
        nonlocal added
        for k in range(20):
            letters.add(dead_letter(RejectReason.NOT_JSON, "x", (f"s{n}-{k}",), "linli/v1/x", os.urandom(200), T0))
            added += 1
        letters.flush(T0)

    _fill_by(bury)
    disk.free()
    assert letters.flush(T0) == 20
    assert len(letters.list(10_000)) == added
    letters.close()
