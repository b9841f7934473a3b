from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.events import EvidenceRef, Lane
from edge.spool.box_db import BoxDb
from edge.spool.lanes import RowTokenBucket, lane_of
from edge.spool.spool import Spool
from edge.uplink.sender import WINDOW_ROWS, Acknowledgement, SpoolSender
from edge.uplink.upload_queue import UploadQueue
from tests.edge.factories import fell, new_spool, reported


def decoded(messages: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def marks(messages: list[bytes]) -> list[tuple[str, int]]:
    return [(row["spool"]["lane"], row["spool"]["seq"]) for row in decoded(messages)]


@pytest.fixture
def sender(tmp_path: Path) -> tuple[SpoolSender, Spool]:
    spool = new_spool(tmp_path)
    return SpoolSender(spool), spool


def acknowledge(sender: SpoolSender, spool: Spool, lane: Lane, through: int, now_ms: int) -> int:
    return sender.got(Acknowledgement(spool.spool_id, lane, through), now_ms)


@pytest.mark.parametrize(
    ("age_ms", "life_safety", "lane"),
    [
        (0, False, "live"),
        (10_000, False, "live"),
        (10_001, False, "backlog"),
        (99_999, True, "live"),
        (-5_000, False, "live"),
    ],
)
def test_a_row_takes_its_lane_by_age_and_urgency(age_ms: int, life_safety: bool, lane: str) -> None:
    assert lane_of(100_000, 100_000 + age_ms, life_safety=life_safety).value == lane


def test_fresh_rows_go_out_at_once_in_order_and_only_once(sender: tuple[SpoolSender, Spool]) -> None:
    sends, spool = sender
    ids = [spool.add(reported(1000 + n)) for n in range(3)]
    sends.connected()
    rows = decoded(sends.due(1500))
    assert [row["event_id"] for row in rows] == ids == [f"{spool.spool_id}-{n}" for n in (1, 2, 3)]
    assert [row["spool"] for row in rows] == [
        {"box_id": "b1", "spool_id": spool.spool_id, "lane": "live", "seq": n, "first": 1} for n in (1, 2, 3)
    ]
    assert not any(row.get("stored") for row in rows)
    assert sends.due(1600) == []


def test_old_rows_take_the_backlog_marked_stored_while_life_safety_stays_live(
    sender: tuple[SpoolSender, Spool],
) -> None:
    sends, spool = sender
    spool.add(reported(1000))
    spool.add(fell(1000))
    spool.add(reported(59_000))
    sends.connected()
    sent = sends.due(60_000)
    assert marks(sent) == [("live", 1), ("live", 2), ("backlog", 1)]
    assert [row.get("stored", False) for row in decoded(sent)] == [True, False, True]
    assert [row["kind"] for row in decoded(sent)] == ["object_fell", "device_reported", "device_reported"]


def test_rows_stay_until_acknowledged_and_a_reconnect_begins_at_the_first_open_one(
    sender: tuple[SpoolSender, Spool],
) -> None:
    sends, spool = sender
    for n in range(4):
        spool.add(reported(1000 + n))
    sends.connected()
    first = sends.due(1500)
    assert acknowledge(sends, spool, Lane.LIVE, 2, 1600) == 2
    spool.add(reported(1700))
    sends.connected()
    again = sends.due(60_000)
    assert marks(first) == [("live", n) for n in (1, 2, 3, 4)]
    assert marks(again) == [("live", 3), ("live", 4), ("backlog", 1)]
    assert decoded(again)[0]["event_id"] == decoded(first)[2]["event_id"]
    assert decoded(again)[0]["stored"] is True
    assert spool.counts(60_000).rows == 3


def test_an_answer_that_does_not_come_makes_the_lane_begin_again_ever_more_patiently(
    sender: tuple[SpoolSender, Spool],
) -> None:
    sends, spool = sender
    spool.add(fell(1000))
    sends.connected()
    times = [now for now in range(1000, 200_000, 1000) if sends.due(now)]
    assert times == [1000, 7_000, 18_000, 39_000, 80_000, 161_000]


def test_an_answer_that_tells_nothing_new_says_that_rows_are_missing(sender: tuple[SpoolSender, Spool]) -> None:
    sends, spool = sender
    for n in range(3):
        spool.add(reported(1000 + n))
    sends.connected()
    sends.due(1000)
    acknowledge(sends, spool, Lane.LIVE, 1, 1100)
    acknowledge(sends, spool, Lane.LIVE, 1, 1200)
    assert sends.due(1200) == []
    acknowledge(sends, spool, Lane.LIVE, 1, 2200)
    again = sends.due(2200)
    assert marks(again) == [("live", 2), ("live", 3)]
    assert {row["spool"]["first"] for row in decoded(again)} == {2}


def test_a_row_after_a_gap_waits_until_everything_before_it_is_acknowledged(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, max_rows=100)
    sends = SpoolSender(spool)
    sends.connected()
    spool.add(fell(1000))
    for n in range(10):
        spool.add(reported(1001 + n))
    assert len(sends.due(1100)) == 11
    for n in range(91):  # over quota: rows 2–4, under way but not life safety, are dropped
        spool.add(reported(1200 + n))
    sends.connected()
    assert marks(sends.due(1300)) == [("live", 1)]
    assert sends.due(1400) == []
    acknowledge(sends, spool, Lane.LIVE, 1, 1500)
    after = sends.due(1500)
    assert marks(after)[0] == ("live", 5)
    assert {row["spool"]["first"] for row in decoded(after)} == {5}


@pytest.mark.parametrize("wrong", ["another spool", "rows never numbered"])
def test_an_acknowledgement_that_cannot_be_ours_deletes_nothing(sender: tuple[SpoolSender, Spool], wrong: str) -> None:
    sends, spool = sender
    spool.add(reported(1000))
    sends.connected()
    sends.due(1000)
    spool_id, through = ("feedfeed", 1) if wrong == "another spool" else (spool.spool_id, 2)
    assert sends.got(Acknowledgement(spool_id, Lane.LIVE, through), 1100) == 0
    assert (sends.ignored_acknowledgements, spool.counts(1100).rows) == (1, 1)


def test_the_windows_bound_what_is_under_way(sender: tuple[SpoolSender, Spool]) -> None:
    sends, spool = sender
    for n in range(200):
        spool.add(reported(1000 + n))
    sends.connected()
    assert len(sends.due(1500)) == WINDOW_ROWS[Lane.LIVE]
    assert sends.due(1500) == []
    acknowledge(sends, spool, Lane.LIVE, 10, 1600)
    assert marks(sends.due(1600)) == [("live", n) for n in range(65, 75)]


def test_the_backlog_is_paced_and_fresh_rows_do_not_wait_behind_it(tmp_path: Path) -> None:
    spool = new_spool(tmp_path)
    for n in range(100):
        spool.add(reported(n))
    sends = SpoolSender(spool, backlog_rows_per_s=5)
    sends.connected()
    assert len(sends.due(100_000)) == 5
    spool.add(reported(100_000))
    assert marks(sends.due(100_000)) == [("live", 1)]
    assert len(sends.due(100_400)) == 2


def test_an_emptied_backlog_is_announced_once_as_drained(sender: tuple[SpoolSender, Spool]) -> None:
    sends, spool = sender
    spool.add(reported(0))
    spool.add(reported(1))
    sends.connected()
    sends.due(50_000)
    acknowledge(sends, spool, Lane.BACKLOG, 1, 50_100)
    assert sends.due(50_100) == []
    acknowledge(sends, spool, Lane.BACKLOG, 2, 50_200)
    acknowledge(sends, spool, Lane.BACKLOG, 2, 50_300)
    (drained,) = decoded(sends.due(50_400))
    assert (drained["kind"], drained["spool_id"], drained["source_id"]) == ("backlog_drained", spool.spool_id, "b1")
    assert drained["spool"]["lane"] == "live"
    acknowledge(sends, spool, Lane.LIVE, 1, 50_500)
    assert spool.counts(50_500).rows == 0


def test_over_quota_the_oldest_go_life_safety_last_and_the_loss_is_declared(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, max_rows=100)
    spool.add(fell(1))
    for n in range(100):
        spool.add(reported(10 + n))
    sends = SpoolSender(spool, backlog_rows_per_s=1000)
    sends.connected()
    rows = decoded(sends.due(40_000))
    acknowledge(sends, spool, Lane.BACKLOG, rows[-1]["spool"]["seq"], 40_100)
    rows += decoded(sends.due(41_000))
    (loss,) = [row for row in rows if row["kind"] == "rows_dropped"]
    assert (loss["lane"], loss["from_seq"], loss["to_seq"], loss["from_ms"], loss["to_ms"]) == ("backlog", 1, 3, 10, 12)
    assert [row["kind"] for row in rows].count("object_fell") == 1
    assert len(rows) == 99
    assert spool.counts(41_000).dropped == 3


def test_a_reopened_spool_holds_its_rows_and_gives_numbers_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = new_spool(tmp_path)
    first.add(reported(1))
    again, other = new_spool(tmp_path), new_spool(tmp_path / "other")
    assert len({first.spool_id, again.spool_id, other.spool_id}) == 3
    assert (again.counts(1).rows, other.counts(1).rows) == (1, 0)


def test_evidence_to_upload_is_listed_with_its_event_or_not_at_all(tmp_path: Path) -> None:
    db = BoxDb(tmp_path / "box.db")
    spool = Spool(db, box_id="b1", site_id="s1", place_id="b1", now_ms=0)
    ref = EvidenceRef(evidence_id="e", kind="still", sha256="0" * 64, bytes=1, mime="image/jpeg", from_ms=0, to_ms=0)
    spool.add(reported(1), (ref,))
    spool.add(reported(2), (ref,))
    queue = UploadQueue(db)
    assert queue.waiting() == 1
    with pytest.raises(sqlite3.Error):
        spool.add(reported(3), (msgspec.structs.replace(ref, sha256="1" * 64, mime=object()),))
    assert (queue.waiting(), spool.counts(10).rows) == (1, 2)


@settings(max_examples=50)
@given(rate=st.floats(1, 500), steps=st.lists(st.integers(-5_000, 5_000), max_size=30))
def test_the_pace_never_lets_more_than_its_rate_through(rate: float, steps: list[int]) -> None:
    pace, now, passed, spent = RowTokenBucket(rate), 1_000_000, 0, 0
    for step in steps:
        now += step
        passed += max(step, 0)
        allowed = pace.allowance(now)
        pace.spend(allowed)
        spent += allowed
    assert spent <= rate * (2 + passed / 1000) + 2


class _World(RuleBasedStateMachine):
    """A box, a link that loses, repeats and breaks, a platform with a high-water mark, and kills of the box."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.now = 1_000_000
        self.added: list[str] = []
        self.kept: list[dict[str, Any]] = []
        self.marks: dict[tuple[str, str], int] = {}
        self.wire: list[bytes] = []
        self.answers: list[Acknowledgement] = []

    @initialize()
    def begin(self) -> None:
        self._open()

    def _open(self) -> None:
        self.spool = new_spool(Path(self._folder.name), now_ms=self.now)
        self.sender = SpoolSender(self.spool, backlog_rows_per_s=50)
        self.sender.connected()
        self.wire = []

    @rule(count=st.integers(1, 5), life=st.booleans(), age_ms=st.sampled_from([0, 500, 9_999, 60_000]))
    def observe(self, count: int, life: bool, age_ms: int) -> None:
        event = (fell if life else reported)(self.now - age_ms)
        self.added += [self.spool.add(event) for _ in range(count)]

    @rule(passed_ms=st.sampled_from([1, 100, 5_000, 15_000, 45_000]))
    def wait(self, passed_ms: int) -> None:
        self.now += passed_ms

    @rule()
    def send(self) -> None:
        self.wire += self.sender.due(self.now)

    @rule(count=st.integers(1, 20), durable=st.booleans())
    def deliver(self, count: int, durable: bool) -> None:
        for message in self.wire[:count]:
            row = json.loads(message)
            lane, seq = (row["spool"]["spool_id"], row["spool"]["lane"]), row["spool"]["seq"]
            before = max(self.marks.get(lane, 0), row["spool"]["first"] - 1)
            if durable and self.marks.get(lane, 0) < seq <= before + 1:
                self.marks[lane] = seq
                self.kept.append(row)
        if durable:
            self.answers += [Acknowledgement(name, Lane(lane), seq) for (name, lane), seq in self.marks.items()]
            self.wire = self.wire[count:]

    @rule(index=st.integers(0, 50))
    def lose_one_in_the_broker(self, index: int) -> None:
        if self.wire:
            del self.wire[index % len(self.wire)]

    @rule(index=st.integers(0, 50))
    def answer(self, index: int) -> None:
        if self.answers:
            self.sender.got(self.answers[index % len(self.answers)], self.now)

    @rule()
    def break_connection(self) -> None:
        self.wire = []
        self.sender.connected()

    @rule()
    def kill_box(self) -> None:
        self._open()

    @invariant()
    def nothing_twice_and_lanes_in_order(self) -> None:
        ids = [row["event_id"] for row in self.kept]
        assert len(ids) == len(set(ids))

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self._settle()
            mine = [row["event_id"] for row in self.kept if row["kind"] != "backlog_drained"]
            assert sorted(mine) == sorted(self.added)
            assert self.spool.counts(self.now).rows == 0
        self._folder.cleanup()

    def _settle(self) -> None:
        """A good link at last: everything arrives."""
        self.break_connection()
        for _ in range(400):
            self.now += 200
            self.send()
            if not self.wire and self.spool.counts(self.now).rows == 0:
                return
            self.deliver(10_000, durable=True)
            for answer in self.answers[-2:]:
                self.sender.got(answer, self.now)


_World.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestNothingLostNothingTwice = _World.TestCase
