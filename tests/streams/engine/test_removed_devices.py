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
    assert marks.take(device(1, 0, "g1"))
    assert marks.take(opened)
    assert marks.take(row)
    assert marks.take(device(2, 1_000, "g1", removed=True))
    assert not _restored(marks).take(opened)
    assert marks.take(device(3, 2_000, "g1"))
    for state in (marks, _restored(marks)):
        assert (state.take(opened), state.take(row)) == (None, None)
    assert marks.take(device(4, 2 * REMOVED_MS, "other"))
    assert not marks.take(opened)  # it is there: its age does not count


def test_marks_of_a_removed_device_go_when_nothing_of_it_may_come_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 0)
    marks = Deduplicator()
    marks.take(device(1, 0, "g1"))
    marks.take(door("e1", 0, "g1", state=DoorState.OPEN))
    marks.take(device(2, 1_000, "g1", removed=True))
    marks.take(device(3, 1_000 + 30 * DAY_MS, "other"))
    assert "g1" in marks.row().marks
    marks.take(device(4, 1_000 + REMOVED_MS, "other"))
    assert "g1" not in marks.row().marks
    assert marks.row().removed == {}


def test_marks_of_removed_devices_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMOVED", 3)
    monkeypatch.setattr(module, "IN_FLIGHT", 0)
    marks = Deduplicator()
    for n in range(6):
        marks.take(device(2 * n + 1, n, f"g{n}"))
        marks.take(door("e", n, f"g{n}", state=DoorState.OPEN))
        marks.take(device(2 * n + 2, n, f"g{n}", removed=True))
    assert sorted(marks.row().marks) == ["g3", "g4", "g5"]


def test_what_may_be_in_flight_of_a_removed_device_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMOVED", 0)
    marks = Deduplicator()
    opened = door("e1", 0, "g1", state=DoorState.OPEN)
    for event in (device(1, 0, "g1"), opened, device(2, 1, "g1", removed=True), device(3, 2, "other")):
        marks.take(event)
    assert _restored(marks).take(opened) is None
