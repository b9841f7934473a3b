"""Nothing is judged: known within twelve seconds, with since when and what stands in the way, and over at once."""

from __future__ import annotations

import pytest

from streams.runtime.judged_watch import STANDS_S, JudgedPartition, JudgedWatch, NothingJudged
from streams.runtime.progress import LastMoves, PartitionProgress

START_MS = 1_790_000_000_000


class Watched:
    """A watch whose clocks go on by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.watch = JudgedWatch(self.now_s, self.now_ms)

    @property
    def now_ms(self) -> int:
        return START_MS + int(self.now_s * 1000)

    def look(self, *partitions: tuple[int, int], after_s: float = 5.0) -> NothingJudged | None:
        """Look again, at (position, end) of each partition."""
        self.now_s += after_s
        found = {number: JudgedPartition(*partition) for number, partition in enumerate(partitions)}
        self.watch.observe(found, self.now_s, self.now_ms)
        return self.watch.standing(self.now_s)

    def in_vain(self, why: str, after_s: float) -> NothingJudged | None:
        self.now_s += after_s
        self.watch.unasked(why)
        return self.watch.standing(self.now_s)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_rules_that_stand_while_the_log_grows_are_told_and_cleared(watched: Watched) -> None:
    assert watched.look((10, 10)) is None
    since_ms = watched.now_ms
    assert watched.look((10, 20), after_s=STANDS_S - 0.1) is None
    assert watched.look((10, 30), after_s=0.2) == NothingJudged(since_ms, "the rules do not follow the log")
    assert watched.look((11, 40), after_s=1.0) is None


def test_a_log_that_nobody_writes_is_told_as_such(watched: Watched) -> None:
    watched.look((10, 10))
    since_ms = watched.now_ms
    assert watched.look((10, 10), after_s=STANDS_S) == NothingJudged(since_ms, "nothing comes from ingest")


def test_a_log_that_cannot_be_asked_is_told_with_its_own_words(watched: Watched) -> None:
    watched.look((10, 10))
    since_ms = watched.now_ms
    assert watched.in_vain("Kafka at k:1 does not answer", STANDS_S - 0.1) is None
    told = watched.in_vain("Kafka at k:1 does not answer", 0.2)
    assert told == NothingJudged(since_ms, "Kafka at k:1 does not answer")
    assert told.detail == "since 2026-09-21T14:15:05Z: Kafka at k:1 does not answer"
    assert watched.look((10, 10), after_s=1.0) is not None  # it answers; nothing has moved since


def test_one_partition_of_many_that_stands_is_named_and_others_are_not(watched: Watched) -> None:
    for n in range(4):
        told = watched.look((n, n), (7, 7 + n), (n, n))
    assert told is not None
    assert told.why == "the rules do not follow the log (1 of 3 partitions: 1)"


def test_a_shard_that_never_wrote_is_told(watched: Watched) -> None:
    for n in range(4):
        told = watched.look((n, n), (0, 0))
    assert told is not None
    assert told.why == "nothing comes from ingest (1 of 2 partitions: 1)"


def test_who_begins_to_watch_believes_the_workers_about_since_when(watched: Watched) -> None:
    for _ in range(5):
        watched.now_s += 5
        watched.watch.observe({0: JudgedPartition(5, 9, START_MS)}, watched.now_s, watched.now_ms)
    assert watched.watch.standing(watched.now_s) == NothingJudged(START_MS, "the rules do not follow the log")


def test_workers_tell_when_a_position_moved_last() -> None:
    moves = LastMoves()
    assert moves.of({0: PartitionProgress(5, 9), 1: PartitionProgress(1, 9, queued=True)}, 100) == {0: (5, 100)}
    assert moves.of({0: PartitionProgress(5, 12), 1: PartitionProgress(1, 9)}, 200) == {0: (5, 100), 1: (1, 200)}
    assert moves.of({0: PartitionProgress(6, 12)}, 300) == {0: (6, 300)}
