"""The page on running Linli names every kind of receiver."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
KINDS = sorted(client.parent.name for client in (ROOT / "delivery" / "receivers").glob("*/client.py"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_shows_a_table_of_each_kind(kind: str) -> None:
    assert f'kind = "{kind}"' in TEXT, f"docs/operations.md, Receivers: no [[receiver]] table of kind {kind!r}"
