"""A box whose clock is set while it holds rows: what it saw before is dated anew, and no fall is lost by its date."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from contracts.durations import DAY_MS, HOUR_MS
from contracts.events import DeviceEvent, Event, ObjectFell
from edge.spool.box_clock import BoxClock
from edge.spool.box_db import BoxDb
from edge.spool.spool import Spool
from edge.uplink.sender import SpoolSender
from ingest.pipeline.clock_rules import ClockRules
from tests.edge.factories import fell, reported

NOW_MS = 1_795_000_000_000
BEFORE = {"1970": 60_000, "40 days behind": NOW_MS - 40 * DAY_MS, "ten years ahead": NOW_MS + 3_650 * DAY_MS}


class Machine:
    """A machine with a wall clock that may be set and one that counts."""

    def __init__(self, folder: Path, wall_ms: int) -> None:
        self.folder, self.wall_ms, self.up_ms, self.boots = folder, wall_ms, 0, 1
        self.spool = self.start()

    def start(self) -> Spool:
        """Start the box's process."""
        clock = BoxClock(f"boot-{self.boots}", lambda: self.wall_ms, lambda: self.up_ms)
        db = BoxDb(self.folder / "box.db")
        self.spool = Spool(db, box_id="b1", site_id="s1", place_id="b1", now_ms=self.wall_ms, clock=clock)
        return self.spool

    def restart(self, wall_ms: int) -> Spool:
        """Switch the machine off and on."""
        self.wall_ms, self.up_ms, self.boots = wall_ms, 0, self.boots + 1
        return self.start()

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.wall_ms, self.up_ms = self.wall_ms + ms, self.up_ms + ms

    def send(self) -> list[Event]:
        """Everything that goes out now, as it arrives."""
        sender = SpoolSender(self.spool, backlog_rows_per_s=1_000)
        sender.connected()
        return [msgspec.json.decode(message, type=DeviceEvent) for message in sender.due(self.wall_ms)]


def taken(events: list[Event], received_ms: int) -> list[Event]:
    """The events as the platform takes them: one that is refused raises."""
    clocks = ClockRules()
    return [clocks.apply(event, received_ms) for event in events]


def times(events: list[Event]) -> list[tuple[int, bool, bool]]:
    return [(event.at_ms, event.stored, event.untrusted) for event in events]


@pytest.mark.parametrize("before", BEFORE)
def test_falls_that_were_seen_before_the_clock_was_set_are_told_when_they_happened(tmp_path: Path, before: str) -> None:
    box = Machine(tmp_path, BEFORE[before])
    for _ in range(3):
        box.spool.add(fell(box.wall_ms))
        box.wait(60_000)
    box.wall_ms = NOW_MS
    falls = taken(box.send(), NOW_MS)
    assert times(falls) == [(NOW_MS - ago_ms, True, False) for ago_ms in (180_000, 120_000, 60_000)]
    assert [fall.started_ms for fall in falls if isinstance(fall, ObjectFell)] == [fall.at_ms for fall in falls]


def test_a_step_counts_for_a_process_that_begins_after_it_and_only_once(tmp_path: Path) -> None:
    box = Machine(tmp_path, 60_000)
    box.spool.add(fell(60_000))
    box.wait(5_000)
    box.wall_ms = NOW_MS
    box.start()
    box.wait(1_000)
    box.start()
    assert times(box.send()) == [(NOW_MS - 5_000, False, False)]


def test_rows_keep_number_and_id_when_they_are_dated_anew(tmp_path: Path) -> None:
    box = Machine(tmp_path, 60_000)
    box.spool.add(fell(60_000))
    (before,) = box.send()
    box.wall_ms = NOW_MS
    (after,) = box.send()
    assert (after.event_id, after.spool) == (before.event_id, before.spool)
    assert (before.at_ms, after.at_ms) == (60_000, NOW_MS)


def test_what_was_seen_before_the_clock_was_set_and_written_after_it_has_its_date(tmp_path: Path) -> None:
    box = Machine(tmp_path, 60_000)
    box.spool.add(fell(60_000))
    box.wait(2_000)
    box.wall_ms = NOW_MS
    box.spool.add(fell(61_000))
    box.spool.add(fell(NOW_MS - 300_000))
    assert [event.at_ms for event in box.send()] == [NOW_MS - 2_000, NOW_MS - 1_000, NOW_MS - 300_000]


def test_small_corrections_of_the_clock_move_nothing(tmp_path: Path) -> None:
    box = Machine(tmp_path, NOW_MS)
    box.spool.add(fell(NOW_MS))
    box.wait(500)
    box.wall_ms += 900
    assert [event.at_ms for event in box.send()] == [NOW_MS]


def test_a_fall_of_a_start_whose_clock_was_never_right_is_taken_as_of_now(tmp_path: Path) -> None:
    box = Machine(tmp_path, 60_000)
    box.spool.add(fell(60_000))
    box.restart(NOW_MS)
    box.wait(50_000)
    (sent,) = box.send()
    assert times([sent]) == [(60_000, False, False)]
    assert times(taken([sent], box.wall_ms)) == [(box.wall_ms, False, True)]


@pytest.mark.parametrize("jump_ms", [-50 * 365 * DAY_MS, 3_650 * DAY_MS, 60 * DAY_MS])
def test_no_step_of_the_clock_takes_a_fall_before_it_is_told(tmp_path: Path, jump_ms: int) -> None:
    box = Machine(tmp_path, NOW_MS)
    box.spool.add(fell(NOW_MS))
    box.restart(NOW_MS + HOUR_MS)
    box.spool.add(fell(box.wall_ms))
    box.spool.add(reported(box.wall_ms))
    box.wall_ms += jump_ms
    assert box.spool.drop_older(box.wall_ms - 30 * DAY_MS) == 0
    box.wall_ms -= jump_ms
    assert [event.at_ms for event in box.send()] == [NOW_MS, NOW_MS + HOUR_MS, NOW_MS + HOUR_MS]


def test_a_step_whose_transaction_failed_is_made_up_for(tmp_path: Path) -> None:
    box = Machine(tmp_path, 60_000)
    box.spool.add(fell(60_000))
    box.wall_ms = NOW_MS
    with pytest.raises(AttributeError):
        box.spool.add(None)  # type: ignore[arg-type]
    box.spool.add(fell(NOW_MS))
    assert [event.at_ms for event in box.send()] == [NOW_MS, NOW_MS]


def test_a_row_that_the_disk_changed_is_not_dated_anew_but_declared(tmp_path: Path) -> None:
    box = Machine(tmp_path, 60_000)
    box.spool.add(fell(60_000))
    box.spool.add(fell(60_000))
    with box.spool._db.transaction() as connection:
        connection.execute("UPDATE row SET body = CAST(replace(CAST(body AS TEXT), 'm1', 'm7') AS BLOB) WHERE n = 1")
    box.wall_ms = NOW_MS
    assert [type(event).__name__ for event in box.send()] == ["ObjectFell", "RowsDropped"]
