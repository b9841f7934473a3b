"""The directory follows the inventory: each change once, in order, a bounded number a step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from contracts.events import Configuration, DeviceConfigured
from contracts.names import DeviceClass
from inventory.directory import MemoryDirectory
from inventory.directory_relay import FOLLOW_CHANGES, DirectoryRelay
from inventory.inventory import Inventory
from tests.incidents.builders import T0


def _gate(number: int, **more: Any) -> DeviceConfigured:
    return DeviceConfigured(
        event_id="c",
        site_id="s1",
        source_id="config",
        place_id="s1",
        at_ms=T0,
        version=0,
        device_id=f"gate-{number}",
        device_class=DeviceClass.GATE,
        **more,
    )


def test_the_directory_follows_the_inventory_change_by_change() -> None:
    with tempfile.TemporaryDirectory() as folder:
        inventory, directory = Inventory(Path(folder) / "config.db"), MemoryDirectory()
        relay = DirectoryRelay(inventory, directory)
        assert relay.step() == 0
        inventory.put([_gate(1), _gate(2)])
        assert (relay.step(), relay.step()) == (2, 0)
        inventory.put([_gate(1, removed=True), _gate(2, name="back door"), _gate(2, name="back door")])
        assert (relay.step(), relay.step()) == (2, 0)
        assert [(device.device_id, device.name) for device in directory.devices("s1")] == [("gate-2", "back door")]
        inventory.put([_gate(n) for n in range(FOLLOW_CHANGES + 3)])
        assert [relay.step(), relay.step(), relay.step()] == [FOLLOW_CHANGES, 3, 0]
        inventory.close()


def test_what_nobody_changed_is_not_read_again_also_when_the_newest_was_erased() -> None:
    with tempfile.TemporaryDirectory() as folder:
        inventory, directory = _Counted(Path(folder) / "config.db"), MemoryDirectory()
        relay = DirectoryRelay(inventory, directory)
        inventory.put([_gate(1), _gate(2)])
        inventory.rewrite("s1", lambda record: None if _named(record) == "gate-2" else record)
        steps = [relay.step() for _ in range(5)]
        assert (steps, [device.device_id for device in directory.devices("s1")]) == ([1, 0, 0, 0, 0], ["gate-1"])
        assert inventory.reads == 2  # the change, and that there is no other
        inventory.put([_gate(3)])
        assert [relay.step() for _ in range(2)] == [1, 0]
        inventory.close()


class _Counted(Inventory):
    """Counts how often its changes were asked for."""

    reads = 0

    def changes_after(self, change: int, limit: int) -> list[tuple[int, Configuration]]:
        self.reads += limit == FOLLOW_CHANGES
        return super().changes_after(change, limit)


def _named(record: Configuration) -> str:
    return record.device_id if isinstance(record, DeviceConfigured) else ""
