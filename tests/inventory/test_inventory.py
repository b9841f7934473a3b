"""The inventory keeps every version, allots numbers, follows into a log once, and refuses what people get wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from app.wiring.stores import PostgresTables
from contracts.errors import ConfigurationError
from contracts.events import Configuration, ThresholdConfigured, VisitorRegistered
from contracts.names import DeviceClass
from detectors.core.site_view import SiteView, apply_record
from inventory import inventory as inventory_module
from inventory.clocks import ClockRecord
from inventory.file_import import parse_inventory
from inventory.inventory import Inventory
from inventory.kept_pending import PENDING_KEPT_MS
from inventory.pending import PendingDevice, PendingTopic
from tests.ingest.builders import NOW_MS, community, device, site
from tests.support.stores import BOTH, postgresql_url

Open = Callable[[Path], Inventory]


@pytest.fixture(params=BOTH)
def open_here(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens the inventory of a folder, new or that which is there, on either database."""
    opened: list[Inventory] = []

    def open_it(folder: Path) -> Inventory:
        there = request.param == "postgresql"
        opened.append(Inventory(PostgresTables(postgresql_url(folder)) if there else folder / "config.db"))
        return opened[-1]

    yield open_it
    for inventory in opened:
        inventory.close()


def test_changes_come_in_order_with_versions_per_site(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    assert inventory.put([*community(), site("s2")]) == 7
    changes = inventory.changes_after(0, 100)
    assert [number for number, _ in changes] == list(range(1, 8))
    assert [record.version for _, record in changes] == [1, 2, 3, 4, 5, 6, 1]
    assert [record.event_id for _, record in changes][:2] == ["config-1", "config-2"]
    assert inventory.changes_after(5, 1) == changes[5:6]
    assert [s.site_id for s in inventory.sites()] == ["s1", "s2"]


def test_clocks_are_kept_and_only_of_devices_that_are_known(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    inventory.put(community())
    right = ClockRecord(site_id="s1", speaker="g1", skew_ms=-8_000, measured_ms=NOW_MS)
    wrong = ClockRecord(site_id="s1", speaker="smoke-1", fault="at_ms cannot be read", fault_ms=NOW_MS)
    inventory.clocks.put([right, wrong, ClockRecord(site_id="s1", speaker="stranger", skew_ms=1)])
    assert inventory.clocks.of_devices() == [right, wrong]
    assert inventory.clocks.wrong_ones() == [wrong]
    mended = msgspec.structs.replace(wrong, fault="", fault_ms=0)
    inventory.clocks.put([mended])
    assert open_here(tmp_path).clocks.of_devices() == [right, mended]
    assert inventory.clocks.wrong_ones() == []


def test_as_many_clocks_as_a_district_has_are_kept(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    inventory.put([site(), *(device(f"d{n:03}", DeviceClass.SENSOR) for n in range(450))])
    clocks = [ClockRecord(site_id="s1", speaker=f"d{n:03}", skew_ms=n) for n in range(450)]
    inventory.clocks.put(clocks[:100])
    inventory.clocks.put(clocks)
    inventory.clocks.put([])
    assert inventory.clocks.of_devices() == clocks


def test_saying_the_same_again_changes_nothing_and_a_change_is_a_new_version(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    before = inventory.put(community())
    assert inventory.put(community(), now_ms=NOW_MS + 5) == before
    assert inventory.put([device("g1", DeviceClass.GATE, name="North gate")], actor="wang") == before + 1
    (_, record) = inventory.changes_after(before, 9)[0]
    assert record.version == 7
    assert [d.name for d in inventory.devices("s1") if d.device_id == "g1"] == ["North gate"]
    assert inventory.history(1)[0][1] == "wang"


def test_a_removed_device_is_gone_from_the_list_but_not_from_the_changes(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    inventory.put([device("g1", DeviceClass.GATE)])
    inventory.put([device("g1", DeviceClass.GATE, removed=True)])
    assert inventory.devices() == []
    assert len(inventory.changes_after(0, 9)) == 2
    inventory.close()
    assert open_here(tmp_path).last_change() == 2


WRONG: list[tuple[str, Configuration, str]] = [
    ("id", device("North Gate", DeviceClass.GATE), "device_id 'North Gate'"),
    ("zone", msgspec.structs.replace(site(), time_zone="Beijing"), "time zone 'Beijing'"),
    ("box", device("c1", DeviceClass.CAM, "Box 1"), "box_id 'Box 1'"),
]


@pytest.mark.parametrize(("record", "said"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_record_is_named_and_nothing_is_written(
    open_here: Open, tmp_path: Path, record: Configuration, said: str
) -> None:
    inventory = open_here(tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        inventory.put([site("s9"), record])
    assert inventory.last_change() == 0


def test_a_site_has_a_bounded_number_of_devices(
    open_here: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inventory_module.MAX_DEVICES == 5_000
    monkeypatch.setattr(inventory_module, "MAX_DEVICES", 50)
    inventory = open_here(tmp_path)
    with pytest.raises(ConfigurationError, match="51 devices"):
        inventory.put([device(f"d{n}", DeviceClass.SENSOR) for n in range(51)])
    assert inventory.devices() == []


def _visit(key: str, to_ms: int, **more: object) -> VisitorRegistered:
    return msgspec.convert(
        {"event_id": "", "site_id": "s1", "source_id": "config", "place_id": "s1", "at_ms": NOW_MS, "version": 0}
        | {"kind": "visitor_registered", "registration_id": key, "host_place_id": "s1", "to_ms": to_ms, **more},
        VisitorRegistered,
    )


def _in_force(inventory: Inventory) -> list[str]:
    view = SiteView(site_id="s1")
    for _, record in inventory.changes_after(0, 1_000):
        if record.site_id == "s1":
            apply_record(view, msgspec.structs.replace(record, at_ms=NOW_MS))
    return [*sorted(view.devices), *sorted(view.visitors)]


def test_replaced_versions_and_ended_visits_go_after_their_time(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    inventory.put([*community(), site("s2")], now_ms=NOW_MS)
    inventory.put([_visit("past", NOW_MS + 5), _visit("long", NOW_MS + 900)], now_ms=NOW_MS)
    for n in range(3):
        inventory.put([device("g1", DeviceClass.GATE, name=f"gate {n}")], now_ms=NOW_MS + n)
    inventory.put([device("m1", DeviceClass.METER, removed=True)], now_ms=NOW_MS + 700)
    before, newest = _in_force(inventory), inventory.last_change()
    assert inventory.forget_history(NOW_MS) == 0
    assert inventory.forget_history(NOW_MS + 100, {"s1"}) == 0
    assert inventory.forget_history(NOW_MS + 100) == 5  # four of replaced devices, and the visit that is over
    assert inventory.forget_history(NOW_MS + 100) == 0
    assert [name for name in before if name != "past"] == _in_force(inventory)
    assert inventory.last_change() == newest
    (_, last) = inventory.changes_after(newest - 1, 9)[0]
    inventory.put([_visit("next", NOW_MS + 900)])
    assert inventory.changes_after(newest, 9)[0][1].version == last.version + 1


def test_the_newest_change_of_a_site_stays_so_that_versions_never_go_back(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    inventory.put([_visit("only", NOW_MS)], now_ms=NOW_MS)
    assert inventory.forget_history(NOW_MS + 10**9) == 0
    inventory.put([_visit("later", NOW_MS + 10**9)], now_ms=NOW_MS)
    assert inventory.forget_history(NOW_MS + 10**9) == 1
    assert [(number, record.version) for number, record in inventory.changes_after(0, 9)] == [(2, 2)]


def test_a_follower_starts_at_nothing_and_keeps_its_place(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    assert inventory.followed("log-a/0") == 0
    inventory.put(community())
    inventory.set_followed("log-a/0", 4)
    assert (inventory.followed("log-a/0"), inventory.followed("log-b/0")) == (4, 0)
    inventory.close()
    again = open_here(tmp_path)
    (fifth, sixth) = again.changes_after(again.followed("log-a/0"), 10)
    assert (fifth[0], sixth[0], again.followers()) == (5, 6, {"log-a/0": 4})
    again.set_followed("log-a/0", sixth[0])
    assert again.changes_after(again.followed("log-a/0"), 10) == []


def test_who_is_pending_is_replaced_and_read_by_number_of_knocks(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    inventory.waiting.put([PendingDevice("s1", "old")], [])
    inventory.waiting.put(
        [PendingDevice("s1", "a", count=1), PendingDevice("s1", "b", count=9)], [PendingTopic("x/y", 2)]
    )
    devices, topics = inventory.waiting.current()
    assert ([d.device_id for d in devices], [t.topic for t in topics]) == (["b", "a"], ["x/y"])


def test_each_shard_says_who_is_pending_with_it_and_who_is_taken_in_is_not(open_here: Open, tmp_path: Path) -> None:
    inventory = open_here(tmp_path)
    inventory.waiting.put([PendingDevice("s1", "g1", count=2, last_ms=NOW_MS)], [PendingTopic("x/y", 2)], "log/0-2-24")
    inventory.waiting.put([PendingDevice("s2", "g9", count=1, last_ms=NOW_MS)], [PendingTopic("x/y", 3)], "log/1-2-24")
    devices, topics = inventory.waiting.current()
    assert [(d.site_id, d.device_id) for d in devices] == [("s1", "g1"), ("s2", "g9")]
    assert len(topics) == 1
    inventory.put([device("g1", DeviceClass.GATE)])
    assert [d.device_id for d in inventory.waiting.current()[0]] == ["g9"]
    later = NOW_MS + PENDING_KEPT_MS + 1
    inventory.waiting.put([PendingDevice("s1", "new", last_ms=later)], [], "log/0-2-24")
    assert [d.device_id for d in inventory.waiting.current()[0]] == ["new"]  # the other shard is long gone


def test_several_that_write_at_once_get_numbers_without_gaps(open_here: Open, tmp_path: Path) -> None:
    here, there = open_here(tmp_path), open_here(tmp_path)
    records = [(inventory, device(f"d{n}", DeviceClass.SENSOR)) for n in range(8) for inventory in (here, there)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each[0].put([each[1]]), records))
    changes = here.changes_after(0, 100)
    assert [number for number, _ in changes] == [record.version for _, record in changes] == list(range(1, 9))


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


def threshold(rule: str, name: str, value: str) -> str:
    return f'site_id = "s1"\n[[threshold]]\nrule = "{rule}"\nname = "{name}"\nvalue = {value}\n'


def test_a_wrong_threshold_is_refused_by_the_tables_too_but_may_be_taken_back(open_here: Open, tmp_path: Path) -> None:
    (record,) = parse_inventory(threshold("smoke_or_heat", "clear_ms", "60000"), toml=True, now_ms=NOW_MS)
    assert isinstance(record, ThresholdConfigured)
    inventory = open_here(tmp_path)
    with pytest.raises(ConfigurationError, match=r"'smoke_or_heat.clear_ms' of site 's1': .* is inf, expected 1000 to"):
        inventory.put([msgspec.structs.replace(record, value=float("inf"))])
    with pytest.raises(ConfigurationError, match=r"no rule is called 'gone'; expected one of"):
        inventory.put([msgspec.structs.replace(record, rule="gone")])
    assert inventory.put([msgspec.structs.replace(record, rule="gone", removed=True)]) == 1


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
        ("{", False, "line 1: it is not JSON"),
        ("[1]", False, "line 1: expected an object"),
        ('\n{"kind":"site_configured"}', False, "line 2"),
        (threshold("smoke_or_heta", "clear_ms", "1000"), True, r"did you mean 'smoke_or_heat'\?"),
        (threshold("fire", "clear_ms", "1000"), True, "expected one of camera_impaired, .*, stranger_entry"),
        (threshold("smoke_or_heat", "clear", "1000"), True, r"has no threshold 'clear'; did you mean 'clear_ms'\?"),
        (threshold("smoke_or_heat", "clear_ms", "nan"), True, "clear_ms is nan, expected 1000 to 3600000 ms"),
        (threshold("smoke_or_heat", "clear_ms", "3600001"), True, r"number 1: smoke_or_heat.clear_ms is 3600001"),
        (threshold("indoor_ebike", "forbid_lift", "0.5"), True, r"expected 1 \(on\) or 0 \(off\) \(default 1\)"),
        (threshold("indoor_ebike", "forbid_lift", '"no"'), True, "value = .no.: expected a number, got text"),
    ],
)
def test_a_wrong_file_says_where_and_what_was_expected(text: str, toml: bool, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_inventory(text, toml=toml, now_ms=NOW_MS)
