"""An inventory's file as a whole: rows that are there twice, and what does not fit together. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.configuration_rows import row_key
from contracts.events import Configuration
from inventory.coherence import Incoherence, incoherences
from inventory.faults import FileFault
from inventory.file_import import InventoryFile, WrittenRecord
from inventory.plausible import implausible

RowName = tuple[str, str, str]
_OWN_ID = {"site_configured": "site_id", "place_configured": "place_id", "device_configured": "device_id"}
"""The key by which other rows name one of this kind."""


def check_file(file: InventoryFile, in_force: Iterable[Configuration] = ()) -> list[FileFault]:
    """Return all that is wrong with a file by its lines, in their order; nothing is wrong when it is empty.

    Args:
        file: as :func:`inventory.file_import.read_inventory` gives it.
        in_force: what the inventory holds already: a file may be a part of a whole. What is wrong there already, and
            with nothing in the file, is not told.
    """
    faults = [*file.faults, *_twice(file.written)]
    for one in file.written:
        faults += [_at(one, wrong.key, wrong.what) for wrong in implausible(one.record)]
    faults += _incoherent(file, in_force)
    if not file.written and not faults:
        faults.append(FileFault(0, "it holds no record of an inventory; `linli docs inventory` shows each table"))
    return sorted(set(faults))


def faults_in_force(in_force: Iterable[Configuration]) -> list[str]:
    """Return all that is wrong with what an inventory holds, each with the record that it is about."""
    records = list(in_force)
    alone = [_about(record, wrong.what) for record in records for wrong in implausible(record)]
    return sorted({*alone, *(_about(one.record, one.what) for one in incoherences(records))})


def _twice(written: list[WrittenRecord]) -> list[FileFault]:
    faults, first = [], dict[RowName, WrittenRecord]()
    for one in written:
        before = first.setdefault(_name(one.record), one)
        if before is one or _later(before, one):
            continue
        line = before.row.line_of("")
        there = f"in line {line}" if line else f"as {before.row.where}"
        faults.append(_at(one, "", f"{row_key(one.record)!r} stands {there} already; expected each once"))
    return faults


def _later(before: WrittenRecord, one: WrittenRecord) -> bool:
    """Return whether a program wrote both as versions of one row."""
    return "version" in before.row.fields and one.record.version > before.record.version


def _incoherent(file: InventoryFile, in_force: Iterable[Configuration]) -> list[FileFault]:
    before = {_name(record): record for record in in_force}
    here = {_name(one.record): one for one in file.written}
    after = before | {name: one.record for name, one in here.items()}
    known = {(_name(one.record), one.key, one.what) for one in incoherences(before.values())}
    named = [row.fields.get(key) for row in file.unread for key in (_OWN_ID.get(row.kind),) if key]
    unread = {name for name in named if isinstance(name, str)}
    faults = []
    for one in incoherences(after.values()):
        name = _name(one.record)
        if one.value in unread:  # its row is wrong itself, and told already
            continue
        if name in here:
            faults.append(_of(here[name], one))
        elif (name, one.key, one.what) not in known:
            faults.append(
                FileFault(0, f"{_about(one.record, one.what)} (it is in the inventory; this file takes it away)")
            )
    return faults


def _of(written: WrittenRecord, one: Incoherence) -> FileFault:
    if one.key == "site_id":  # said once, not for each row, where the site is named once
        return FileFault(written.row.line_of("site_id"), one.what)
    return _at(written, one.key, one.what)


def _at(written: WrittenRecord, key: str, what: str) -> FileFault:
    return FileFault(written.row.line_of(key), f"{written.row.where}: {what}")


def _about(record: Configuration, what: str) -> str:
    return f"{record.site_id}: {_name(record)[1].partition('_')[0]} {row_key(record)!r}: {what}"


def _name(record: Configuration) -> RowName:
    return record.site_id, str(type(record).__struct_config__.tag), row_key(record)
