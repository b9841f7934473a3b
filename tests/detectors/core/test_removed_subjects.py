"""An open episode ends as ``removed`` when what it is about leaves the inventory, whichever record says so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.events import Configuration
from contracts.names import DeviceClass
from detectors.charging.indoor_ebike_charging import IndoorEbikeCharging
from tests.detectors.builders import HOUR, MINUTE, T0, Script
from tests.detectors.charging.test_indoor_ebike_charging import PLUGGED_IN, charge, readings
from tests.detectors.charging.test_indoor_ebike_charging import site as meters
from tests.detectors.harness import Harness
from tests.detectors.wire import Wire
from tests.ingest.builders import device, place, site

OTHER_CLASS = device("x1", DeviceClass.METER, place_id="hall-1")
OTHER_METER = device("meter1", DeviceClass.SENSOR, place_id="room1")


def removed(record: Configuration) -> Configuration:
    return msgspec.structs.replace(record, removed=True)


HALL, BOX = place("hall-1"), device("b1", DeviceClass.EDGE)
CAMERA = device("x1", DeviceClass.CAM, "b1", place_id="hall-1")
SENSOR = device("x1", DeviceClass.SENSOR, place_id="hall-1")
SILENT = device("x1", DeviceClass.METER, place_id="hall-1", silent_after_ms=MINUTE)
STANDS: list[Configuration] = [site(), HALL, BOX, device("b2", DeviceClass.EDGE)]

LEAVES: dict[str, tuple[str, Configuration, Configuration]] = {
    "a camera": ("camera_impaired", CAMERA, removed(CAMERA)),
    "a camera that is something else": ("camera_impaired", CAMERA, OTHER_CLASS),
    "a camera of another box": ("camera_impaired", CAMERA, msgspec.structs.replace(CAMERA, box_id="b2")),
    "a camera's box": ("camera_impaired", CAMERA, removed(BOX)),
    "a camera's place": ("camera_impaired", CAMERA, removed(HALL)),
    "a camera's site": ("camera_impaired", CAMERA, removed(site())),
    "a sensor": ("smoke_or_heat", SENSOR, removed(SENSOR)),
    "a sensor that is something else": ("smoke_or_heat", SENSOR, OTHER_CLASS),
    "a sensor's place": ("smoke_or_heat", SENSOR, removed(HALL)),
    "a sensor's site": ("smoke_or_heat", SENSOR, removed(site())),
    "a silent device": ("device_silent", SILENT, removed(SILENT)),
    "a silent device's site": ("device_silent", SILENT, removed(site())),
}


def _wire(subject: Configuration) -> Wire:
    """A site in which the subject has an open episode, two minutes on."""
    wire = Wire([*STANDS, subject])
    spool = {"box_id": "b1", "spool_id": "sp1", "lane": "live", "seq": 1, "first": 1}
    report: dict[str, Any] = {"kind": "device_reported", "source_id": "x1", "place_id": "hall-1", "healthy": False}
    wire.say(0, "edge/b1", **report, impaired_by="black", spool=spool)
    wire.say(0, "sensor/x1", kind="environment_sampled", alarm=True, place_id="hall-1")
    wire.until(2 * MINUTE)
    return wire


def _told(wire: Wire, rule: str) -> list[tuple[str, Any]]:
    return [(str(f.phase), next((x.value for x in f.facts if x.code == "ended"), None)) for f in wire.of(rule)]


@pytest.mark.parametrize(("rule", "subject", "record"), LEAVES.values(), ids=LEAVES)
def test_an_open_episode_ends_when_its_subject_leaves(rule: str, subject: Configuration, record: Configuration) -> None:
    wire = _wire(subject)
    assert _told(wire, rule) == [("open", None)]
    wire.configure(record, at=2 * MINUTE)
    wire.until((15 if record == removed(site()) else 3) * MINUTE)
    assert _told(wire, rule) == [("open", None), ("close", "removed")]
    wire.until(40 * 24 * HOUR)
    assert len(_told(wire, rule)) == 2


STAYS: dict[str, tuple[str, Configuration, Configuration]] = {
    "a camera that is renamed": ("camera_impaired", CAMERA, msgspec.structs.replace(CAMERA, name="east")),
    "another box": ("camera_impaired", CAMERA, removed(device("b2", DeviceClass.EDGE))),
    "another place": ("camera_impaired", CAMERA, removed(place("elsewhere"))),
    "a sensor that is given to a box": ("smoke_or_heat", SENSOR, msgspec.structs.replace(SENSOR, box_id="b1")),
    "a sensor beside a place that goes": ("smoke_or_heat", SENSOR, removed(place("elsewhere"))),
    "a site that is renamed": ("smoke_or_heat", SENSOR, msgspec.structs.replace(site(), name="new")),
    "a silent device that is renamed": ("device_silent", SILENT, msgspec.structs.replace(SILENT, name="east")),
}


@pytest.mark.parametrize(("rule", "subject", "record"), STAYS.values(), ids=STAYS)
def test_an_open_episode_goes_on_while_its_subject_is_there(
    rule: str, subject: Configuration, record: Configuration
) -> None:
    wire = _wire(subject)
    wire.configure(record, at=2 * MINUTE)
    wire.until(HOUR)
    assert _told(wire, rule) == [("open", None)]


def test_a_site_that_comes_back_is_judged_again() -> None:
    wire = _wire(SENSOR)
    wire.configure(removed(site()), at=2 * MINUTE)
    wire.until(15 * MINUTE)
    wire.configure(site(), at=16 * MINUTE)
    wire.say(17 * MINUTE, "sensor/x1", kind="environment_sampled", alarm=True, place_id="hall-1")
    wire.until(HOUR)
    assert _told(wire, "smoke_or_heat") == [("open", None), ("close", "removed"), ("open", None)]


@pytest.mark.parametrize("way", ["class", "place", "site"])
def test_a_load_ends_when_its_meter_leaves(way: str) -> None:
    script = Script()
    harness = Harness(IndoorEbikeCharging())
    records: list[Any] = meters(script)
    harness.feed(records)
    harness.feed([s for s in readings(script, charge()) if s.at_ms < T0 + PLUGGED_IN + HOUR])
    at_ms = T0 + PLUGGED_IN + HOUR
    gone = {"class": OTHER_METER, "place": removed(records[0]), "site": removed(site())}
    harness.feed([msgspec.structs.replace(gone[way], at_ms=at_ms, version=99)])
    harness.until(at_ms + 3 * HOUR)
    assert [str(d.phase) for d in harness.found] == ["open", "close"]
    assert (harness.found[-1].fact("ended"), harness.states) == ("removed", {})
