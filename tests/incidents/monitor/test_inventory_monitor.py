"""An inventory that is another one, or a copy of long ago, raises an alarm and says everything again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contracts.names import DeviceClass
from incidents.monitor.inventory_monitor import InventoryMonitor
from incidents.store.operator_alarms import standing_alarms
from incidents.store.store import Store
from inventory.inventory import Inventory
from tests.ingest.builders import NOW_MS, device, site
from tests.support.stores import make_store

pytestmark = pytest.mark.usefixtures("on_both")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


def _look(inventory: Inventory, store: Store) -> str:
    """What a process that was just started sees."""
    return InventoryMonitor(inventory, store, clock_ms=lambda: NOW_MS).step()


def _alarms(store: Store) -> list[tuple[str, int]]:
    with store.read() as connection:
        return [(alarm.code.value, alarm.times) for alarm in standing_alarms(connection)]


def _made(path: Path, *devices: str) -> Inventory:
    inventory = Inventory(path)
    inventory.put([site(), *[device(name, DeviceClass.SENSOR) for name in devices]])
    return inventory


def test_an_inventory_that_goes_on_raises_nothing_nor_does_an_erased_row(tmp_path: Path, store: Store) -> None:
    inventory = _made(tmp_path / "config.db", "d1")
    assert _look(inventory, store) == ""
    inventory.put([device("d2", DeviceClass.SENSOR)])
    assert _look(inventory, store) == ""
    inventory.rewrite("s1", lambda record: None if record.version == 3 else record)
    assert _look(inventory, store) == _look(inventory, store) == ""
    assert _alarms(store) == []
    inventory.close()


def test_another_inventory_in_its_place_is_told_once(tmp_path: Path, store: Store) -> None:
    first = _made(tmp_path / "config.db", "d1", "d2")
    _look(first, store)
    first.close()
    second = _made(tmp_path / "other.db", "d1")
    assert "another store" in _look(second, store)
    assert _look(second, store) == ""
    assert _alarms(store) == [("inventory_went_back", 1)]
    assert second.state().change == 2  # it was never followed: nothing needs saying again
    second.close()


@pytest.mark.parametrize("since", [0, 1, 2, 3], ids=lambda n: f"{n} written since it was put back")
def test_a_copy_of_long_ago_is_told_and_says_everything_again(tmp_path: Path, store: Store, since: int) -> None:
    inventory = _made(tmp_path / "config.db", "d1")
    inventory.close()
    shutil.copy(tmp_path / "config.db", tmp_path / "backup.db")
    inventory = Inventory(tmp_path / "config.db")
    inventory.put([device("d2", DeviceClass.SENSOR), device("d3", DeviceClass.SENSOR)])
    _look(inventory, store)
    inventory.close()
    restored = Inventory(tmp_path / "backup.db")
    restored.put([device(f"n{n}", DeviceClass.SENSOR) for n in range(since)])
    before = restored.state()
    assert "put back from a backup" in _look(restored, store)
    assert _alarms(store) == [("inventory_went_back", 1)]
    after = restored.state()
    assert (after.identity == before.identity, after.change - before.change) == (False, 2 + since)
    again = [record for _, record in restored.changes_after(before.change, 100)]
    assert {record.store for record in again} == {after.identity}
    assert _look(restored, store) == ""
    restored.close()
