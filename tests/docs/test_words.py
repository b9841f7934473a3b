"""The glossary: every term once, in order, with its meaning and its Chinese term."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "words.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("|")
]
HEAD, RULE, *WORDS = ROWS
TERMS = [row[0] for row in WORDS]


def test_every_row_has_a_term_its_meaning_and_its_chinese_term() -> None:
    assert HEAD == ["term", "meaning", "中文"]
    assert [row for row in WORDS if len(row) != len(HEAD) or not all(row)] == []
    assert [row[0] for row in WORDS if not re.search(r"[\u4e00-\u9fff]", row[2])] == []
    assert [row[0] for row in WORDS if not row[1].endswith(".")] == []


def test_terms_are_sorted_and_none_stands_twice() -> None:
    assert sorted(TERMS, key=str.casefold) == TERMS
    folded = [term.casefold() for term in TERMS]
    assert sorted({term for term in folded if folded.count(term) > 1}) == []


def test_no_two_terms_have_the_same_meaning() -> None:
    meanings = [row[1] for row in WORDS]
    assert len(set(meanings)) == len(meanings)


@pytest.mark.parametrize(
    "term",
    ["batch", "episode", "finding", "incident", "lease", "lateness", "site", "unit", "watermark", "stuck-work monitor"],
)
def test_the_words_that_everything_is_explained_with_are_there(term: str) -> None:
    assert term in TERMS
