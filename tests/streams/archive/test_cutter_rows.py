"""Rows in force follow what the log says last, also when the inventory numbers its records anew."""

from __future__ import annotations

from contracts.events import DeviceConfigured
from streams.archive.cutter import Cutter
from tests.streams.support import device


def _names(*records: DeviceConfigured) -> list[str]:
    cutter = Cutter(rows=())
    for record in records:
        cutter.fold(record)
    return [row.name for row in cutter.rows.values() if isinstance(row, DeviceConfigured)]


def _of(store: str, transaction: str, version: int, name: str) -> DeviceConfigured:
    return device(version, 0, "d1", name=name, store=store, transaction=transaction)


def test_a_record_that_comes_again_does_not_bring_back_what_was_before() -> None:
    assert _names(_of("a", "t1", 1, "old"), _of("a", "t2", 2, "new"), _of("a", "t1", 1, "old")) == ["new"]
    assert _names(device(1, 0, "d1", name="old"), device(2, 0, "d1", name="new"), device(1, 0, "d1")) == ["new"]


def test_another_inventory_or_one_that_was_put_back_says_what_holds_now() -> None:
    assert _names(_of("a", "t9", 9, "old"), _of("b", "u1", 1, "new")) == ["new"]
    assert _names(_of("a", "t9", 9, "old"), _of("a", "u9", 9, "new")) == ["new"]
    assert _names(device(9, 0, "d1", name="old"), _of("b", "u1", 1, "new")) == ["new"]
