"""The example of an inventory is one: the real parser reads it, and an empty store takes it and nothing twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.main import linli
from contracts.events import (
    Configuration,
    ConsentRecorded,
    DeviceConfigured,
    PlaceConfigured,
    ReferenceErased,
    SiteConfigured,
    ThresholdConfigured,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.names import DeviceClass
from detectors.registry import all_rules
from inventory.file_import import TABLES, parse_inventory
from inventory.inventory import Inventory

FILE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "inventory.toml"
TEXT = FILE.read_text(encoding="utf-8")


@pytest.fixture
def records() -> list[Configuration]:
    return parse_inventory(TEXT, toml=True, now_ms=1)


def _of(records: list[Configuration], kind: type) -> Iterator[Configuration]:
    return (record for record in records if isinstance(record, kind))


def test_it_shows_every_table_and_every_class_of_device_but_lifts(records: list[Configuration]) -> None:
    assert set(re.findall(r"^\[\[(\w+)\]\]", TEXT, re.MULTILINE)) == set(TABLES)
    shown = {record.device_class for record in records if isinstance(record, DeviceConfigured)}
    missing = set(DeviceClass) - {DeviceClass.LIFT} - shown
    assert missing == set(), "docs/examples/inventory.toml: no [[device]] of these classes"
    kinds = (SiteConfigured, VehicleRegistered, ConsentRecorded, VisitorRegistered, ThresholdConfigured)
    assert all(list(_of(records, kind)) for kind in kinds)


def test_every_kind_of_configuration_that_people_write_has_a_table() -> None:
    kinds = {str(kind.__struct_config__.tag) for kind in Configuration.__args__ if kind is not ReferenceErased}
    assert set(TABLES.values()) == kinds, "inventory/file_import.py: TABLES"


def test_every_place_that_it_names_is_one_of_its_places(records: list[Configuration]) -> None:
    places = {record.place.place_id: record.place for record in records if isinstance(record, PlaceConfigured)}
    known = {"willow", *places}
    named: set[str | None] = {place.parent_id for place in places.values()}
    for record in records:
        match record:
            case DeviceConfigured():
                named.add(record.place_id)
            case VehicleRegistered():
                named.add(record.home_place_id)
            case VisitorRegistered():
                named |= {record.host_place_id, *record.door_ids}
            case _:
                pass
    assert named <= known


def test_every_camera_belongs_to_its_box(records: list[Configuration]) -> None:
    devices = {record.device_id: record for record in records if isinstance(record, DeviceConfigured)}
    cameras = [device for device in devices.values() if device.device_class is DeviceClass.CAM]
    assert cameras
    assert {devices[str(camera.box_id)].device_class for camera in cameras} == {DeviceClass.EDGE}


def test_its_thresholds_are_of_rules_that_exist(records: list[Configuration]) -> None:
    rules = {rule.name for rule in all_rules()}
    assert {record.rule for record in records if isinstance(record, ThresholdConfigured)} <= rules


def test_it_loads_into_an_empty_store_and_again_without_a_change(
    records: list[Configuration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = CliRunner().invoke(linli, ["inventory", "load", str(FILE)])
    assert first.exit_code == 0, first.output
    assert f"{len(records)} records read, {len(records)} changed" in first.stderr
    again = CliRunner().invoke(linli, ["inventory", "load", str(FILE)])
    assert f"{len(records)} records read, 0 changed" in again.stderr
    with closing(Inventory(tmp_path / "linli-data" / "config.db")) as inventory:
        assert [site.name for site in inventory.sites()] == ["Willow Court 柳园"]
