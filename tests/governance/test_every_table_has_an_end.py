"""Every table of incidents has an end that people can read of, and whoever may be named in it can be erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from incidents.store.schema import metadata

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "retention.md").read_text(encoding="utf-8")

WITH_THE_INCIDENT = "| closed incidents, their findings, steps, deliveries, attempts |"
FOREVER = "| audit log, holds, erasures |"
WITH_THE_PICTURE = "| stills and clips |"
PASSING = "| sessions; cleared alarms |"
FEED = "| change feed |"

ENDS: dict[str, str] = {
    "alarms": PASSING,
    "attempts": WITH_THE_INCIDENT,
    "audit_log": FOREVER,
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

NAMES_NOBODY: dict[str, str] = {
    "counters": "numbers of readers and sequences",
    "day_numbers": "the last number of a site and day",
    "grants": "roles, removed with their user",
    "incident_totals": "counts of what was deleted",
    "schema_version": "which migrations ran",
    "users": "accounts, removed by `linli users remove`",
}
"""Tables without an age: what is in them, so that one sees that it may stay."""

ERASED = {"findings", "incidents", "incident_actions", "deliveries", "alarms", "incident_evidence", "evidence"}
"""Tables that may name a person; ``governance/incident_erasure.py`` must know them."""


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_a_table_has_an_end_or_a_reason_to_stay(table: str) -> None:
    assert (table in ENDS) != (table in NAMES_NOBODY), (
        f"{table}: say in ENDS which row of docs/retention.md it belongs to, and delete its rows in governance/; "
        "or say in NAMES_NOBODY why it may stay"
    )


def test_no_table_is_listed_that_is_gone() -> None:
    assert sorted({*ENDS, *NAMES_NOBODY, *ERASED} - set(metadata.tables)) == []


@pytest.mark.parametrize("row", sorted(set(ENDS.values())))
def test_each_end_is_a_row_of_the_page(row: str) -> None:
    assert f"\n{row} " in PAGE, f"docs/retention.md: no row that begins with {row!r}"


@pytest.mark.parametrize("table", sorted(ERASED))
def test_erasing_a_person_reaches_each_table_that_may_name_one(table: str) -> None:
    source = (ROOT / "governance" / "incident_erasure.py").read_text(encoding="utf-8")
    assert f"{table}.c." in source or f"({table})" in source, f"governance/incident_erasure.py: {table} is not erased"
