"""An inventory as people write it: TOML with short table names, or one configuration record a line (JSON). Pure.

TOML: ``site_id`` at the top, then ``[[site]]``, ``[[place]]``, ``[[device]]``, ``[[threshold]]``, ``[[visitor]]``,
``[[vehicle]]``, ``[[consent]]``; each table holds the fields of its record. What every record has (``event_id``,
``source_id``, ``at_ms``, ``version``) may be left out in both forms.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

import msgspec

from contracts.errors import ConfigurationError
from contracts.events import CONFIG_SOURCE, Configuration, ThresholdConfigured
from inventory.threshold_check import check_threshold

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


def parse_inventory(text: str, *, toml: bool, now_ms: int) -> list[Configuration]:
    """Return the records in ``text``, in the order in which they depend on each other.

    Args:
        text: of the file.
        toml: whether it is TOML; otherwise JSON lines. Lines of other kinds (events) are passed over.
        now_ms: the time of records that carry none.

    Raises:
        ConfigurationError: naming the table or line, the value, and what was expected.
    """
    return _from_toml(text, now_ms) if toml else _from_lines(text, now_ms)


def _from_toml(text: str, now_ms: int) -> list[Configuration]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the inventory is not TOML: {error}") from None
    site_id = document.pop("site_id", None)
    unknown = sorted(set(document) - set(TABLES))
    if unknown:
        raise ConfigurationError(f"unknown table {unknown[0]!r}; expected site_id and [[{']], [['.join(TABLES)}]]")
    records = []
    for table, kind in TABLES.items():
        rows = document.get(table, [])
        if not isinstance(rows, list):
            raise ConfigurationError(f"[{table}] must be written [[{table}]], once for each {table}")
        for number, row in enumerate(rows, 1):
            fields = {"site_id": site_id, **row} if site_id is not None else dict(row)
            if kind == "place_configured" and "place" not in fields:
                fields = {"site_id": fields.pop("site_id", None), "place": fields}
            records.append(_record({**fields, "kind": kind}, f"[[{table}]] number {number}", now_ms))
    return records


def _from_lines(text: str, now_ms: int) -> list[Configuration]:
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"line {number} is not JSON: {error}") from None
        if not isinstance(fields, dict) or "kind" not in fields:
            raise ConfigurationError(f'line {number}: expected an object with a "kind"')
        if fields["kind"] in _KINDS:
            records.append(_record(fields, f"line {number}", now_ms))
    return records


def _record(fields: dict[str, Any], where: str, now_ms: int) -> Configuration:
    place = fields.get("place")
    own_place = place.get("place_id") if isinstance(place, dict) else None
    common = {"event_id": "config", "source_id": CONFIG_SOURCE, "at_ms": now_ms, "version": 0}
    common["place_id"] = own_place or fields.get("site_id")
    try:
        record: Configuration = msgspec.convert({**common, **fields}, Configuration)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where} ({fields.get('kind')}): {error}") from None
    _refuse_unknown(fields, record, where)
    if isinstance(record, ThresholdConfigured):
        check_threshold(record, where)
    return record


def _refuse_unknown(fields: dict[str, Any], record: Configuration, where: str) -> None:
    """Raise on a misspelt key: it must not be ignored in what a person wrote."""
    unknown = sorted(set(fields) - set(record.__struct_fields__) - {"kind"})
    if unknown:
        raise ConfigurationError(f"{where}: unknown key {unknown[0]!r}; expected {', '.join(record.__struct_fields__)}")
