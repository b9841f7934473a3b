"""A live alarm that another message of its sensor overtook, or whose clock stepped, goes on like any other.

Many sensors say an alarm once. What says that it is over is a calm reading that was taken after it, by its time and
by its receipt.
"""

from __future__ import annotations

import pytest

from contracts.findings import Phase
from contracts.names import DeviceClass
from detectors.fire.smoke_or_heat import SmokeOrHeat
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script
from tests.detectors.harness import Harness, phases
from tests.detectors.wire import Wire
from tests.ingest.builders import device, place, site

SENSOR = "sensor/smoke-1"


def _wire() -> Wire:
    return Wire([site(), place("hall-1"), device("smoke-1", DeviceClass.SENSOR)])


def _reads(wire: Wire, at: int, *, clock: int = 0, received: int = 10, **more: object) -> None:
    said = {"kind": "environment_sampled", "alarm": False, "temperature_c": 22.0, "place_id": "hall-1", **more}
    wire.say(at, SENSOR, "tele", clock=clock, received=received, **said)


def _alarms(wire: Wire, at: int, *, clock: int = 0, received: int = 10) -> None:
    wire.say(at, SENSOR, kind="environment_sampled", alarm=True, place_id="hall-1", clock=clock, received=received)


def _told(wire: Wire) -> list[tuple[str, object]]:
    return [
        (str(f.phase), next((x.value for x in f.facts if x.code == "ended"), None)) for f in wire.of("smoke_or_heat")
    ]


@pytest.mark.parametrize("released", [True, False], ids=["after the reading was judged", "while the reading waits"])
@pytest.mark.parametrize("by_ms", [1, 10, 1_500])
def test_an_alarm_that_a_reading_overtook_stays_open(by_ms: int, released: bool) -> None:
    wire = _wire()
    _reads(wire, 10 * SECOND)
    if released:
        wire.until(10 * SECOND + 5)
    _alarms(wire, 10 * SECOND - by_ms, received=by_ms + 20)
    wire.until(5 * HOUR)
    assert _told(wire) == [("open", None)]


@pytest.mark.parametrize("back_ms", [500, 5_000, 9_900])
def test_an_alarm_of_a_clock_that_stepped_back_stays_open(back_ms: int) -> None:
    wire = _wire()
    _reads(wire, 0)
    _alarms(wire, SECOND, clock=-back_ms)
    wire.until(5 * HOUR)
    assert _told(wire) == [("open", None)]
    _reads(wire, 5 * HOUR, clock=-back_ms)
    wire.until(6 * HOUR)
    assert _told(wire) == [("open", None), ("close", "cleared")]


def test_an_alarm_that_is_dated_at_its_onset_stays_open() -> None:
    wire = _wire()
    for at in (0, 2 * SECOND):
        _reads(wire, at)
    _alarms(wire, 3 * SECOND, clock=-2_900)
    wire.until(5 * HOUR)
    assert _told(wire) == [("open", None)]


@pytest.mark.parametrize("alarm_at", [500, 1_000, 2_500])
def test_heartbeats_that_are_ahead_say_nothing_of_an_alarm_after_them(alarm_at: int) -> None:
    wire = _wire()
    _reads(wire, 0, clock=1_900)
    _alarms(wire, alarm_at)
    wire.until(5 * HOUR)
    assert _told(wire) == [("open", None)]


def test_a_sensor_that_is_ahead_and_speaks_often_still_says_that_it_is_over() -> None:
    wire = _wire()
    _alarms(wire, SECOND, clock=1_900)
    for at in range(0, 5 * MINUTE, SECOND):
        _reads(wire, at, clock=1_900)
        wire.until(at)
    wire.until(HOUR)
    assert _told(wire) == [("open", None), ("close", "cleared")]


def test_an_overtaken_alarm_during_a_fire_puts_its_end_off_and_opens_no_other() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    harness.feed([script.environment(0, alarm=True), script.environment(30 * SECOND)])
    again = script.environment(29 * SECOND, alarm=True)
    harness.give_late(again, received=31 * SECOND)
    harness.until(T0 + 70 * SECOND)
    assert phases(harness.found) == [Phase.OPEN]
    harness.feed([script.environment(80 * SECOND)])
    harness.until(T0 + HOUR)
    assert [(str(d.phase), d.at_ms - T0) for d in harness.found] == [("open", 0), ("close", 91 * SECOND)]


def test_what_was_stored_is_told_as_over_and_changes_nothing_now() -> None:
    wire = _wire()
    _reads(wire, 10 * MINUTE)
    wire.until(10 * MINUTE + SECOND)
    wire.say(
        10 * MINUTE + 2 * SECOND, SENSOR, kind="environment_sampled", alarm=True, clock=-MINUTE, stored=True,
        place_id="hall-1",
    )  # fmt: skip
    wire.until(HOUR)
    assert _told(wire) == [("open", None), ("close", "cleared")]
