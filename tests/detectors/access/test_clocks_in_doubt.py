"""Nobody is a verified stranger by a clock that is off and not measured yet, however busy the site is."""

from __future__ import annotations

import pytest

from contracts.names import DeviceClass
from ingest.pipeline.pipeline import Accepted
from tests.detectors.access.door import GATE, Door
from tests.detectors.builders import MINUTE, SECOND
from tests.ingest.builders import device, place

RESIDENTS, BEFORE = 12, 20


def _door(*, busy: bool) -> Door:
    """A door; in a busy site another one's gate speaks all the time, so that what is late is late."""
    door = Door()
    if busy:
        door.wire.configure(place("door-2"), at=-900)
        door.wire.configure(device("gate2", DeviceClass.GATE, place_id="door-2"), at=-800)
    return door


def _pass_time(door: Door, from_: int, to: int, *, busy: bool) -> None:
    for at in range(from_, to, SECOND // 2):
        if busy:
            door.wire.say(at, "gate/gate2", kind="device_reported", place_id="door-2")
        door.wire.until(at)


def _residents(who: str, clock: int, *, walk: int, before: int, busy: bool) -> list[bool]:
    """Residents who swipe and pass after ``walk`` ms; a clock is off after the first; who is accused, and how."""
    door = _door(busy=busy)
    for n in range(before + RESIDENTS):
        at, off = n * MINUTE, clock if n >= before else 0
        gate, box = (off, 0) if who == "gate" else (0, off)
        door.beats(at, clock=gate)
        door.row(at, "cam1", kind="device_reported", clock=box)
        _pass_time(door, at + SECOND, at + 20 * SECOND, busy=busy)
        door.grants(at + 20 * SECOND, clock=gate)
        _pass_time(door, at + 20 * SECOND, at + 20 * SECOND + walk, busy=busy)
        door.passes(at + 20 * SECOND + walk, clock=box)
        _pass_time(door, at + 21 * SECOND + walk, at + 40 * SECOND, busy=busy)
    return [verified for _, verified in door.strangers((before + RESIDENTS + 5) * MINUTE)]


@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
@pytest.mark.parametrize("before", [0, BEFORE], ids=["from the first day", "after a step"])
@pytest.mark.parametrize("clock", [-2_500, -5_500, -9_900])
@pytest.mark.parametrize(("who", "walk"), [("box", 500), ("box", 2_000), ("gate", 2_000), ("gate", 12_000)])
def test_residents_are_no_verified_strangers_by_a_clock_that_is_off(
    who: str, walk: int, clock: int, before: int, busy: bool
) -> None:
    found = _residents(who, clock, walk=walk, before=before, busy=busy)
    assert not any(found), "verified"  # none, or one that is not verified: nobody is accused either way


@pytest.mark.parametrize("clock", [0, -300, -9_000, 5_000], ids=["right", "a little off", "behind", "ahead"])
def test_a_stranger_is_verified_once_the_clocks_are_right_or_measured(clock: int) -> None:
    door = _door(busy=False)
    for at in range(0, 20 * MINUTE, 10 * SECOND):
        door.beats(at, clock=clock)
        door.row(at, "cam1", kind="device_reported", clock=clock)
    door.grants(20 * MINUTE, clock=clock)
    door.passes(20 * MINUTE + SECOND, clock=clock)
    door.passes(20 * MINUTE + 3 * SECOND, clock=clock)
    assert [verified for _, verified in door.strangers(30 * MINUTE)] == [True]


def test_a_stranger_seen_by_a_clock_in_doubt_is_found_unverified() -> None:
    door = _door(busy=False)
    door.beats(0)
    door.passes(10 * SECOND, clock=-8_000)
    assert door.strangers(MINUTE) == [(2, False)]


def test_clocks_that_are_both_a_little_off_in_two_ways_verify_nobody() -> None:
    door = _door(busy=False)
    door.beats(0, clock=1_900)
    door.grants(10 * SECOND, clock=1_900)
    door.passes(10 * SECOND + 300, clock=-1_900)
    assert door.strangers(MINUTE) == [(8, False)]


def test_a_word_of_a_gate_in_time_makes_it_good_again() -> None:
    door = _door(busy=False)
    door.beats(0)
    door.beats(10 * SECOND, clock=-6_000)
    door.passes(11 * SECOND)
    door.beats(20 * SECOND)
    door.passes(30 * SECOND)
    assert door.strangers(2 * MINUTE) == [(11, False), (30, True)]


def test_a_credential_that_would_come_too_late_counts_as_of_its_receipt() -> None:
    door = _door(busy=True)
    _pass_time(door, 0, 10 * SECOND, busy=True)
    event = door.grants(10 * SECOND, clock=-7_000).event
    assert (event.at_ms, event.untrusted) == (event.received_ms, True)
    moved = door.wire.say(20 * SECOND, GATE, kind="door_changed", state="open", clock=-7_000)
    assert isinstance(moved, Accepted) and not moved.event.untrusted
