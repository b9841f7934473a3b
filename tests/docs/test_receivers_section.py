"""The page on running Linli names every kind of receiver and its keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from delivery.receivers.kinds import KINDS as SET_UP

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
KINDS = sorted(client.parent.name for client in (ROOT / "delivery" / "receivers").glob("*/client.py"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_shows_a_table_of_each_kind(kind: str) -> None:
    assert f'kind = "{kind}"' in TEXT, f"docs/operations.md, Receivers: no [[receiver]] table of kind {kind!r}"


def test_its_first_table_lists_all_kinds() -> None:
    listed = re.findall(r"# the kinds: (.*)", TEXT)
    assert listed == [", ".join(KINDS)], (
        "docs/operations.md, Receivers: the comment '# the kinds: …' is not the list of kinds"
    )


@pytest.mark.parametrize("kind", sorted(SET_UP))
def test_the_table_of_a_kind_shows_each_of_its_keys(kind: str) -> None:
    table = re.split(r"\[\[receiver\]\]|```", TEXT.partition(f'kind = "{kind}"')[2])[0]
    missing = [key for key in SET_UP[kind].settings.__struct_fields__ if not re.search(rf"\b{key}\b", table)]
    assert not missing, f"docs/operations.md, Receivers: the [[receiver]] table of kind {kind!r} lacks {missing}"
