"""An inventory as people write it: TOML with short table names, or one configuration record a line (JSON). Pure.

TOML: ``site_id`` at the top, then ``[[site]]``, ``[[place]]``, ``[[device]]``, ``[[threshold]]``, ``[[visitor]]``,
``[[vehicle]]``, ``[[consent]]``; each table holds the fields of its record. What every record has (``event_id``,
``source_id``, ``at_ms``, ``version``) may be left out in both forms.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from contracts.errors import ConfigurationError
from contracts.events import Configuration
from inventory.faults import FileFault
from inventory.file_fields import read_row
from inventory.file_rows import FileRow, json_rows, toml_rows

TABLES = {
    "site": "site_configured",
    "place": "place_configured",
    "device": "device_configured",
    "threshold": "threshold_configured",
    "visitor": "visitor_registered",
    "vehicle": "vehicle_registered",
    "consent": "consent_recorded",
}
_KINDS = frozenset(TABLES.values())


class WrittenRecord(msgspec.Struct, frozen=True):
    """A record, and the row of the file that says it."""

    record: Configuration
    row: FileRow


class InventoryFile(msgspec.Struct, frozen=True):
    """What a file says: its records, its rows that are none, and all that is wrong with rows by themselves."""

    written: list[WrittenRecord]
    unread: list[FileRow]
    faults: list[FileFault]

    @property
    def records(self) -> list[Configuration]:
        """The records, in the order in which they depend on each other."""
        return [one.record for one in self.written]


def read_inventory(
    text: str, *, toml: bool, now_ms: int, on_row: Callable[[int], object] = lambda _rows: None
) -> InventoryFile:
    """Return what ``text`` says, and what is wrong with each row; ``file_check`` looks at the whole.

    Args:
        text: of the file.
        toml: whether it is TOML; otherwise JSON lines. Lines of other kinds (events) are passed over.
        now_ms: the time of records that carry none.
        on_row: told with each row how many there were.
    """
    found = InventoryFile([], [], [])
    rows = toml_rows(text, TABLES, found.faults) if toml else json_rows(text, _KINDS, found.faults)
    for number, row in enumerate(rows, 1):
        on_row(number)
        record = read_row(row, now_ms, found.faults)
        if record is None:
            found.unread.append(row)
        else:
            found.written.append(WrittenRecord(record, row))
    return found


def parse_inventory(text: str, *, toml: bool, now_ms: int) -> list[Configuration]:
    """Return the records in ``text``, in the order in which they depend on each other. Arguments as above.

    Raises:
        ConfigurationError: naming each table or line, the value, and what was expected.
    """
    found = read_inventory(text, toml=toml, now_ms=now_ms)
    if found.faults:
        raise ConfigurationError("\n".join(str(fault) for fault in found.faults))
    return found.records
