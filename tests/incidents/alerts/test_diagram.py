"""The diagram in the documentation is the one that the table makes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.cases import CASE_TABLE, CaseState
from contracts.incidents import ALERT_TABLE, FINAL_ALERT_STATES, AlertState
from incidents.alerts.diagram import alert_diagram, case_diagram, states_page

PAGE = Path(__file__).parents[3] / "docs" / "incidents.md"


@pytest.mark.parametrize(
    ("diagram", "table", "states"),
    [(alert_diagram(), ALERT_TABLE, AlertState), (case_diagram(), CASE_TABLE, CaseState)],
)
def test_a_diagram_has_every_state_and_exactly_the_tables_arrows(
    diagram: str, table: Mapping[tuple[enum.StrEnum, enum.StrEnum], enum.StrEnum], states: type[enum.StrEnum]
) -> None:
    arrows = [line.strip() for line in diagram.splitlines() if ":" in line]
    assert sorted(arrows) == sorted(f"{state} --> {target}: {action}" for (state, action), target in table.items())
    shown = {word for line in diagram.splitlines()[1:] for word in line.split(":")[0].split(" --> ")}
    assert {word.strip() for word in shown} - {"[*]"} == set(states)


def test_the_final_states_are_those_that_nothing_leaves() -> None:
    ends = {line.split()[0] for line in alert_diagram().splitlines() if line.endswith("--> [*]")}
    assert ends == set(FINAL_ALERT_STATES)
    assert f"```mermaid\n{case_diagram()}```" in states_page()


def test_the_page_shows_the_table_in_force() -> None:
    assert f"```mermaid\n{alert_diagram()}```" in PAGE.read_text("utf-8")
