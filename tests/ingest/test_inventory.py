"""The inventory keeps every version, allots numbers, follows into a log once, and refuses what people get wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from contracts.errors import ConfigurationError
from contracts.events import Configuration, ThresholdConfigured
from contracts.names import DeviceClass
from ingest.admission import PendingDevice, PendingTopic
from ingest.inventory import Inventory
from ingest.inventory_file import parse_inventory
from tests.ingest.builders import NOW_MS, community, device, site


def test_changes_come_in_order_with_versions_per_site(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    assert inventory.put([*community(), site("s2")]) == 7
    changes = inventory.changes_after(0, 100)
    assert [number for number, _ in changes] == list(range(1, 8))
    assert [record.version for _, record in changes] == [1, 2, 3, 4, 5, 6, 1]
    assert [record.event_id for _, record in changes][:2] == ["config-1", "config-2"]
    assert inventory.changes_after(5, 1) == changes[5:6]
    assert [s.site_id for s in inventory.sites()] == ["s1", "s2"]


def test_saying_the_same_again_changes_nothing_and_a_change_is_a_new_version(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    before = inventory.put(community())
    assert inventory.put(community(), now_ms=NOW_MS + 5) == before
    assert inventory.put([device("g1", DeviceClass.GATE, name="North gate")], actor="wang") == before + 1
    (_, record) = inventory.changes_after(before, 9)[0]
    assert record.version == 7
    assert [d.name for d in inventory.devices("s1") if d.device_id == "g1"] == ["North gate"]
    assert inventory.history(1)[0][1] == "wang"


def test_a_removed_device_is_gone_from_the_list_but_not_from_the_changes(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.put([device("g1", DeviceClass.GATE)])
    inventory.put([device("g1", DeviceClass.GATE, removed=True)])
    assert inventory.devices() == []
    assert len(inventory.changes_after(0, 9)) == 2
    inventory.close()
    assert Inventory(tmp_path / "config.db").last_change() == 2


WRONG: list[tuple[str, Configuration, str]] = [
    ("id", device("North Gate", DeviceClass.GATE), "device_id 'North Gate'"),
    ("zone", msgspec.structs.replace(site(), time_zone="Beijing"), "time zone 'Beijing'"),
    ("box", device("c1", DeviceClass.CAM, "Box 1"), "box_id 'Box 1'"),
]


@pytest.mark.parametrize(("record", "said"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_record_is_named_and_nothing_is_written(tmp_path: Path, record: Configuration, said: str) -> None:
    inventory = Inventory(tmp_path / "config.db")
    with pytest.raises(ConfigurationError, match=said):
        inventory.put([site("s9"), record])
    assert inventory.last_change() == 0


def test_a_site_has_at_most_5000_devices(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    with pytest.raises(ConfigurationError, match="5001 devices"):
        inventory.put([device(f"d{n}", DeviceClass.SENSOR) for n in range(5_001)])
    assert inventory.devices() == []


def test_a_follower_starts_at_nothing_and_keeps_its_place(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    assert inventory.followed("log-a/0") == 0
    inventory.set_followed("log-a/0", 4)
    assert (inventory.followed("log-a/0"), inventory.followed("log-b/0")) == (4, 0)


def test_who_is_pending_is_replaced_and_read_by_number_of_knocks(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.set_pending([PendingDevice("s1", "old")], [])
    inventory.set_pending(
        [PendingDevice("s1", "a", count=1), PendingDevice("s1", "b", count=9)], [PendingTopic("x/y", 2)]
    )
    devices, topics = inventory.pending()
    assert ([d.device_id for d in devices], [t.topic for t in topics]) == (["b", "a"], ["x/y"])


TOML = """
site_id = "s1"
[[site]]
name = "Willow Court"
[[place]]
place_id = "gate-1"
kind = "door"
use = "entrance"
[[device]]
device_id = "g1"
device_class = "gate"
place_id = "gate-1"
silent_after_ms = 180000
[[threshold]]
rule = "smoke_or_heat"
name = "temperature_c"
value = 60
"""


def test_people_write_toml_and_machines_json_lines() -> None:
    records = parse_inventory(TOML, toml=True, now_ms=NOW_MS)
    assert [type(r).__name__ for r in records] == [
        "SiteConfigured", "PlaceConfigured", "DeviceConfigured", "ThresholdConfigured",
    ]  # fmt: skip
    assert {r.site_id for r in records} == {"s1"}
    assert isinstance(records[3], ThresholdConfigured)
    lines = "\n".join(msgspec.json.encode(r).decode() for r in records) + '\n\n{"kind":"door_changed"}\n'
    assert parse_inventory(lines, toml=False, now_ms=NOW_MS) == records


@pytest.mark.parametrize(
    ("text", "toml", "said"),
    [
        ("[[gadget]]", True, "unknown table 'gadget'"),
        ("x = [", True, "not TOML"),
        ('[site]\nname="a"', True, r"written \[\[site\]\]"),
        ('site_id="s1"\n[[device]]\ndevice_id="g1"', True, r"\[\[device\]\] number 1"),
        ('site_id="s1"\n[[site]]\nname="a"\ntimezone="x"', True, "unknown key 'timezone'"),
        ("{", False, "line 1 is not JSON"),
        ("[1]", False, "line 1: expected an object"),
        ('\n{"kind":"site_configured"}', False, "line 2"),
    ],
)
def test_a_wrong_file_says_where_and_what_was_expected(text: str, toml: bool, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_inventory(text, toml=toml, now_ms=NOW_MS)
