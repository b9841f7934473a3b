"""An inventory has a name that stays, and numbers that only grow, whoever erases what and however old the file is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from contracts.errors import Permanent
from contracts.names import DeviceClass
from inventory.inventory import Inventory
from inventory.numbers import StoreState, is_behind
from inventory.tables import STATEMENTS, SqliteTables
from tests.ingest.builders import device, site


def test_the_name_stays_and_another_file_has_another(tmp_path: Path) -> None:
    first = Inventory(tmp_path / "a.db")
    name = first.state().identity
    first.close()
    assert Inventory(tmp_path / "a.db").state().identity == name
    assert Inventory(tmp_path / "b.db").state().identity != name


def test_a_record_names_its_store_and_what_was_written_together(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.put([site(), device("d1", DeviceClass.SENSOR)])
    inventory.put([device("d2", DeviceClass.SENSOR)])
    records = [record for _, record in inventory.changes_after(0, 10)]
    assert {record.store for record in records} == {inventory.state().identity}
    first, second, third = [record.transaction for record in records]
    assert (first == second, first == third) == (True, False)
    assert inventory.put(records) == 3  # who wrote it is no part of what it says
    assert inventory.state() == StoreState(inventory.state().identity, 3, third)


def test_a_newest_change_that_cannot_be_read_is_damage_and_says_so(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.put([site()])
    with closing(sqlite3.connect(tmp_path / "config.db")) as other, other:
        other.execute("UPDATE changes SET body = x'c1'")
    with pytest.raises(Permanent, match="damaged: change 1 is not what was written"):
        inventory.state()


def test_numbers_only_grow_though_every_row_is_erased(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.put([site(), device("d1", DeviceClass.SENSOR)])
    before = inventory.state()
    assert inventory.rewrite("s1", lambda _record: None) == 2
    assert inventory.changes_after(0, 10) == []
    assert inventory.state() == StoreState(before.identity, 2)
    assert not inventory.is_behind(before, inventory.state())
    assert inventory.put([site()]) == 3
    assert [record.version for _, record in inventory.changes_after(0, 10)] == [3]


def test_a_file_of_an_earlier_version_gets_a_name_and_goes_on_from_its_numbers(tmp_path: Path) -> None:
    tables = SqliteTables(tmp_path / "config.db")
    tables.make(STATEMENTS)
    tables.close()
    inventory = Inventory(tmp_path / "config.db")
    inventory.put([site()])
    inventory.close()
    tables = SqliteTables(tmp_path / "config.db")
    with tables.write() as rows:
        rows.execute("DROP TABLE numbers")
        rows.execute("DROP TABLE identity")
    tables.close()
    again = Inventory(tmp_path / "config.db")
    assert again.put([device("d1", DeviceClass.SENSOR)]) == 2
    assert again.state().identity


KNOWN = StoreState("a", 5, "t5")
COMPARED: list[tuple[str, StoreState, str | None, bool]] = [
    ("the same", KNOWN, "t5", False),
    ("gone on", StoreState("a", 9, "t9"), "t5", False),
    ("its newest was erased", StoreState("a", 5), None, False),
    ("erased and gone on", StoreState("a", 9, "t9"), None, False),
    ("put back", StoreState("a", 4, "t4"), None, True),
    ("put back and as far again", StoreState("a", 5, "u5"), "u5", True),
    ("put back and farther", StoreState("a", 9, "u9"), "u5", True),
    ("another", StoreState("b", 9, "t5"), "t5", True),
]


@pytest.mark.parametrize(("now", "transaction", "behind"), [x[1:] for x in COMPARED], ids=[x[0] for x in COMPARED])
def test_a_store_that_is_not_what_it_was_is_behind(now: StoreState, transaction: str | None, behind: bool) -> None:
    assert is_behind(KNOWN, now, transaction) is behind
