"""The diagram in the documentation is the one that the table makes."""

from __future__ import annotations

from pathlib import Path

from incidents.diagram import alert_diagram

PAGE = Path(__file__).parents[2] / "docs" / "incidents.md"


def test_the_page_shows_the_table_in_force() -> None:
    assert f"```mermaid\n{alert_diagram()}```" in PAGE.read_text("utf-8")
