"""Files of an inventory, as `linli inventory` reads and checks them."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from pathlib import Path

from contracts.errors import ConfigurationError
from contracts.events import Configuration, DeviceConfigured
from contracts.written_text import decode_written
from inventory.faults import FileFault
from inventory.file_check import check_file
from inventory.file_import import InventoryFile, read_inventory
from inventory.inventory import Inventory


def read_file(path: Path, now_ms: int, on_row: Callable[[int], object] = lambda _rows: None) -> InventoryFile:
    """Return what a file says, and what is wrong with it: TOML if it is called so, else JSON lines.

    ``on_row`` is told with each row how many there were.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"inventory file {path} cannot be read: {error.strerror}") from None
    try:
        text = decode_written(data, f"inventory file {path}")
    except ConfigurationError as error:
        return InventoryFile([], [], [FileFault(0, str(error))])
    return read_inventory(text, toml=path.suffix.lower() == ".toml", now_ms=now_ms, on_row=on_row)


def faults_of(file: InventoryFile, inventory: Inventory | None) -> list[FileFault]:
    """Return all that is wrong with a file, beside an inventory that is open; None: there is none yet."""
    return check_file(file, inventory.in_force() if inventory else ())


def table_of(records: Iterable[Configuration]) -> list[str]:
    """Return the devices by site and class: how many, how many with a silence limit, how many behind a box."""
    groups: dict[tuple[str, str], list[DeviceConfigured]] = collections.defaultdict(list)
    for record in records:
        if isinstance(record, DeviceConfigured) and not record.removed:
            groups[record.site_id, str(record.device_class)].append(record)
    lines = ["site\tclass\tdevices\tsilence_limit\tbox"] if groups else []
    for (site_id, device_class), devices in sorted(groups.items()):
        limited = sum(device.silent_after_ms is not None for device in devices)
        boxed = sum(device.box_id is not None for device in devices)
        lines.append(f"{site_id}\t{device_class}\t{len(devices)}\t{limited}\t{boxed}")
    return lines
