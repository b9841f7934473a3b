"""The directory follows the inventory: each change once, in order, a bounded number a step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from contracts.events import DeviceConfigured
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
