"""Every table of incidents has an end that people can read of, and whoever may be named in it can be erased."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from governance.incident_erasure import Mentions
from incidents.store.schema import metadata

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "retention.md").read_text(encoding="utf-8")
HOW_LONG, _, HOW_ERASED = PAGE.partition("\n## Erasing\n")

ERASING = "governance/incident_erasure.py"
WITH_THE_INCIDENT = "| closed incidents, their findings, steps, deliveries, attempts |"
AUDIT = "| audit log |"
NOTES = "| notes beside the audit log; reasons of holds that have ended |"
FOREVER = "| holds, erasures |"
WITH_THE_PICTURE = "| stills and clips |"
PASSING = "| sessions; cleared alarms |"
FEED = "| change feed |"

ENDS: dict[str, str] = {
    "alarms": PASSING,
    "attempts": WITH_THE_INCIDENT,
    "audit_log": AUDIT,
    "audit_notes": NOTES,
    "deliveries": WITH_THE_INCIDENT,
    "episodes": WITH_THE_INCIDENT,
    "erasures": FOREVER,
    "evidence": WITH_THE_PICTURE,
    "findings": WITH_THE_INCIDENT,
    "holds": FOREVER,
    "incident_actions": WITH_THE_INCIDENT,
    "incident_changes": FEED,
    "incident_evidence": WITH_THE_INCIDENT,
    "incidents": WITH_THE_INCIDENT,
    "sessions": PASSING,
}
"""Table → the row of docs/retention.md that says how long it is kept."""

DELETED_BY: dict[str, str] = {
    WITH_THE_INCIDENT: "governance/incident_retention.py",
    WITH_THE_PICTURE: "evidence/store.py",
    PASSING: "governance/incident_retention.py",
    AUDIT: "governance/audit_retention.py",
    NOTES: "governance/audit_notes.py",
    FEED: "incidents/store/changes.py",
}
"""Row → the module that deletes what is over, or marks it as gone. Nobody deletes what is FOREVER."""

NAMES_NOBODY: dict[str, str] = {
    "counters": "numbers of readers and sequences",
    "day_numbers": "the last number of a site and day",
    "grants": "roles, removed with their user",
    "incident_totals": "counts of what was deleted",
    "schema_version": "which migrations ran",
    "table_sums": "a number a table",
    "users": "accounts, removed by `linli users remove`",
}
"""Tables without an age: what is in them, so that one sees that it may stay."""

ERASED: dict[str, str] = {
    "alarms": "| findings, incidents, alarms |",
    "audit_notes": "| notes beside the audit log, reasons of holds |",
    "deliveries": "| deliveries |",
    "evidence": "| evidence |",
    "findings": "| findings, incidents, alarms |",
    "holds": "| notes beside the audit log, reasons of holds |",
    "incident_actions": "| findings, incidents, alarms |",
    "incident_evidence": "| evidence |",
    "incidents": "| findings, incidents, alarms |",
}
"""Tables that may name a person → the row of docs/retention.md under *Erasing*; ``incident_erasure.py`` knows them."""

CANNOT_NAME: dict[str, str] = {
    "attempts": "statuses and kinds of errors, never what a receiver answered (the conformance suite sees to it)",
    "audit_log": "who did what of those that have an account; counts and digests",
    "counters": "numbers",
    "day_numbers": "numbers",
    "episodes": "ids and numbers",
    "erasures": "digests",
    "grants": "accounts",
    "incident_changes": "ids",
    "incident_totals": "counts",
    "schema_version": "names of migrations",
    "sessions": "accounts",
    "table_sums": "names of tables and numbers",
    "users": "accounts",
}
"""Tables that name no resident, visitor, vehicle or tag, and what is in them instead."""


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_a_table_has_an_end_or_a_reason_to_stay(table: str) -> None:
    assert (table in ENDS) != (table in NAMES_NOBODY), (
        f"{table}: say in ENDS which row of docs/retention.md it belongs to, and delete its rows in governance/; "
        "or say in NAMES_NOBODY why it may stay"
    )


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_a_table_is_erased_or_cannot_name_a_person(table: str) -> None:
    assert (table in ERASED) != (table in CANNOT_NAME), (
        f"{table}: say in ERASED which row of docs/retention.md under Erasing it belongs to, and erase it in "
        "governance/incident_erasure.py; or say in CANNOT_NAME what is in it instead"
    )


def test_no_table_is_listed_that_is_gone() -> None:
    assert sorted({*ENDS, *NAMES_NOBODY, *ERASED, *CANNOT_NAME} - set(metadata.tables)) == []


@pytest.mark.parametrize("row", sorted(set(ENDS.values())))
def test_each_end_is_a_row_of_the_page(row: str) -> None:
    assert f"\n{row} " in HOW_LONG, f"docs/retention.md, first table: no row that begins with {row!r}"


@pytest.mark.parametrize("row", sorted(set(ERASED.values())))
def test_each_way_of_erasing_is_a_row_of_the_page(row: str) -> None:
    assert f"\n{row} " in HOW_ERASED, f"docs/retention.md, table under Erasing: no row that begins with {row!r}"


@pytest.mark.parametrize("table", sorted(table for table, row in ENDS.items() if row != FOREVER))
def test_a_table_with_an_end_is_deleted_by_somebody(table: str) -> None:
    module = DELETED_BY.get(ENDS[table])
    assert module is not None, f"{ENDS[table]!r}: say in DELETED_BY which module deletes what is over"
    assert table in _used(module), f"{module}: {table} is not deleted there"


@pytest.mark.parametrize("table", sorted(ERASED))
def test_erasing_a_person_reaches_each_table_that_may_name_one(table: str) -> None:
    assert table in _used(ERASING), f"{ERASING}: {table} is not erased"


@pytest.mark.parametrize("field", sorted({*Mentions.__struct_fields__} - {"about", "held"}))
def test_whatever_is_found_of_a_person_is_written_and_counted(field: str) -> None:
    assert field in _attributes("erase_mentions") | _attributes("_erase_texts"), (
        f"{ERASING}: erase_mentions does not write what Mentions.{field} says"
    )
    assert field in _attributes("_Search"), f"{ERASING}: nothing in _Search finds Mentions.{field}"
    counted = _attributes("rows") | {"evidence"}  # the answer tells of evidence apart
    assert field in counted, f"{ERASING}: Mentions.rows does not count {field}"


def test_every_search_for_a_person_is_made() -> None:
    methods = {node.name for node in ast.walk(_node("_Search")) if isinstance(node, ast.FunctionDef)}
    idle = sorted(methods - {"__init__", "look"} - _attributes("_Search"))
    assert idle == [], f"{ERASING}: nobody calls these of _Search"


def _node(name: str) -> ast.AST:
    """The function or class of that name in the module that erases."""
    tree = ast.parse((ROOT / ERASING).read_text(encoding="utf-8"))
    return next(node for node in ast.walk(tree) if getattr(node, "name", "") == name)


def _attributes(name: str) -> set[str]:
    """The attributes that a function or class reads."""
    return {node.attr for node in ast.walk(_node(name)) if isinstance(node, ast.Attribute)}


def _used(module: str) -> set[str]:
    """The names that a module uses, not those that it only imports or speaks of."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
