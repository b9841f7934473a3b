"""What a removed device sends again is known for as long as it may come again, within a bound."""

from __future__ import annotations

import pytest

from contracts.durations import DAY_MS
from contracts.events import DoorState, Lane, SpoolMark
from streams.engine import deduplicator as module
from streams.engine.deduplicator import REMOVED_MS, Deduplicator
from tests.streams.support import device, door, seen


def _restored(marks: Deduplicator) -> Deduplicator:
    return Deduplicator(marks.row())


def test_what_a_removed_and_added_device_sends_again_is_a_duplicate() -> None:
    marks = Deduplicator()
    opened, row = door("e1", 0, "g1", state=DoorState.OPEN), seen("s1", 0, spool=SpoolMark("g1", "sp", Lane.LIVE, 7))
    assert marks.is_new(device(1, 0, "g1"))
    assert marks.is_new(opened)
    assert marks.is_new(row)
    assert marks.is_new(device(2, 1_000, "g1", removed=True))
    assert not _restored(marks).is_new(opened)
    assert marks.is_new(device(3, 2_000, "g1"))
    for state in (marks, _restored(marks)):
        assert (state.is_new(opened), state.is_new(row)) == (False, False)
    assert marks.is_new(device(4, 2 * REMOVED_MS, "other"))
    assert not marks.is_new(opened)  # it is there: its age does not count


def test_marks_of_a_removed_device_go_when_nothing_of_it_may_come_any_more() -> None:
    marks = Deduplicator()
    marks.is_new(device(1, 0, "g1"))
    marks.is_new(door("e1", 0, "g1", state=DoorState.OPEN))
    marks.is_new(device(2, 1_000, "g1", removed=True))
    marks.is_new(device(3, 1_000 + 30 * DAY_MS, "other"))
    assert "g1" in marks.row().ids
    marks.is_new(device(4, 1_000 + REMOVED_MS, "other"))
    assert "g1" not in marks.row().ids
    assert marks.row().removed == {}


def test_marks_of_removed_devices_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMOVED", 3)
    marks = Deduplicator()
    for n in range(6):
        marks.is_new(device(2 * n + 1, n, f"g{n}"))
        marks.is_new(door("e", n, f"g{n}", state=DoorState.OPEN))
        marks.is_new(device(2 * n + 2, n, f"g{n}", removed=True))
    assert sorted(marks.row().ids) == ["g3", "g4", "g5"]
