"""The spool: a step is kept whole or not at all, every point has a time of its own, and nothing goes silently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.findings import Finding
from streams.results.points import NS_PER_MS, Point, finding_point, point
from streams.results.spool import CHUNK_POINTS, MAX_REJECTED, PointSpool, SourceBatch
from streams.results.target import PointsRefused, RejectedPoint, write_isolating
from tests.incidents.builders import make_finding
from tests.streams.results.factories import Keeping, T
from tests.support.folders import fast_folder

DAY_MS = 86_400_000


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as path:
        yield path


def _queued(spool: PointSpool) -> list[Point]:
    return [p for chunk in spool.oldest(10**9) for p in chunk.points]


def _silent(count: int) -> list[Finding]:
    """Devices of one site that fell silent in the same millisecond."""
    return [make_finding(rule="device_silent", key=f"m{n}") for n in range(count)]


def test_a_thousand_findings_of_one_millisecond_keep_a_time_each(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db")
    spool.append([SourceBatch("f", "one", 1_500, [finding_point(finding) for finding in _silent(1_500)])], T)
    times = [p.at_ns for p in _queued(spool)]
    spool.close()
    assert len(set(times)) == 1_500
    assert len({at_ns // NS_PER_MS for at_ns in times}) == 1


def test_two_keys_that_meet_in_one_nanosecond_are_put_side_by_side(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db")
    crowd = [point("losses", {"cause": "log"}, {"n": 1}, T, f"{n}") for n in range(4_000)]  # ≈ 8 meet by chance
    spool.append([SourceBatch("f", "one", 1, crowd)], T)
    queued = _queued(spool)
    spool.append([SourceBatch("f", "one", 2, crowd[::-1])], T)
    again = _queued(spool)
    spool.close()
    assert len({p.at_ns for p in queued}) == 4_000
    assert again == queued


def test_a_finding_that_comes_again_is_not_written_again(folder: Path) -> None:
    findings = [finding_point(finding) for finding in _silent(3)]
    for cursor in (3, 4):
        spool = PointSpool(folder / "spool.db")
        spool.append([SourceBatch("f", "one", cursor, findings)], T)
        assert len(_queued(spool)) == 3
        assert spool.cursor("f", "one") == cursor
        spool.close()


def test_a_source_of_another_identity_begins_anew(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db")
    spool.append([SourceBatch("f", "one", 7)], T)
    assert (spool.cursor("f", "one"), spool.cursor("f", "two"), spool.cursor("g", "one")) == (7, None, None)
    spool.close()


def test_a_step_that_fails_half_way_leaves_nothing(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db")
    points = [point("losses", {"cause": "log"}, {"n": 1}, T, "a")]
    with pytest.raises(Exception, match="binding"):
        spool.append([SourceBatch("f", "one", 1, points, {"state": object()})], T)  # type: ignore[dict-item]
    assert (spool.cursor("f", "one"), _queued(spool)) == (None, [])
    spool.append([SourceBatch("f", "one", 1, points, {"state": b"x"})], T)
    assert (spool.cursor("f", "one"), len(_queued(spool)), spool.state("state")) == (1, 1, b"x")
    spool.close()


def test_points_leave_in_the_order_in_which_they_came(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db")
    points = [point("losses", {"cause": "log"}, {"n": n}, T + n) for n in range(2 * CHUNK_POINTS + 10)]
    spool.append([SourceBatch("f", "one", 1, points)], T)
    first = spool.oldest(CHUNK_POINTS + 1)
    assert [len(chunk.points) for chunk in first] == [CHUNK_POINTS]
    spool.done(first, [], T)
    assert _queued(spool) == points[CHUNK_POINTS:]
    assert spool.depth().points == CHUNK_POINTS + 10
    spool.close()


def test_above_its_quota_the_oldest_go_and_it_is_said(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db", quota_bytes=20_000)
    dropped = 0
    for n in range(40):
        points = [point("losses", {"cause": f"c{n}-{i}"}, {"n": i}, T + i) for i in range(200)]
        dropped += spool.append([SourceBatch("f", "one", n, points)], T + n)
    depth, queued = spool.depth(), _queued(spool)
    spool.close()
    assert dropped == depth.dropped > 0
    assert depth.bytes < 20_000 + 500
    declared = sum(int(p.fields["n"]) for p in queued if dict(p.tags)["cause"] == "quota")
    assert 0 < declared <= dropped
    assert dict(queued[-2].tags)["cause"] == "c39-199"


def test_what_was_refused_is_kept_aside_up_to_a_bound(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db")
    bad = [RejectedPoint(point("losses", {"cause": "log"}, {"n": n}, T), "no") for n in range(MAX_REJECTED + 5)]
    spool.done([], bad, T)
    assert spool.depth().rejected == MAX_REJECTED + 5
    assert len(spool.rejected(10**6)) == MAX_REJECTED
    assert spool.rejected(1)[0][1] == bad[-1]
    spool.close()


def test_old_marks_and_closed_quarters_are_forgotten(folder: Path) -> None:
    spool = PointSpool(folder / "spool.db")
    mark = [point("losses", {"cause": "log"}, {"n": 1}, T, "a")]
    state = {"power/0000000000001/s1": b"x", "power/9000000000000/s1": b"y", "log/0/one": b"z"}
    spool.append([SourceBatch("f", "one", 1, mark, state)], T)
    spool.forget_before(T + 40 * DAY_MS, "power/5000000000000/")
    assert [spool.state(key) for key in state] == [None, b"y", b"z"]
    spool.append([SourceBatch("f", "one", 2, mark)], T)
    assert len(_queued(spool)) == 2
    spool.close()


class _Picky(Keeping):
    """Refuses every write that holds one of some numbers."""

    def __init__(self, bad: set[int]) -> None:
        super().__init__()
        self.bad = bad

    def write(self, points: object) -> None:
        assert isinstance(points, list)
        if any(int(p.fields["n"]) in self.bad for p in points):
            self.writes += 1
            raise PointsRefused("bad")
        super().write(points)


@pytest.mark.parametrize("bad", [set(), {0}, {99}, {3, 4, 50}, set(range(100))])
def test_isolating_keeps_every_good_point_and_names_every_bad_one(bad: set[int]) -> None:
    target = _Picky(bad)
    points = [point("losses", {"cause": "log"}, {"n": n}, T + n) for n in range(100)]
    found = write_isolating(target, points)
    assert {int(b.point.fields["n"]) for b in found} == bad
    assert len(target.points) == 100 - len(bad)
