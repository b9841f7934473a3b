"""What the page on security says is tested by something is; what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
REPORT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
STATES = {"met", "partly", "not met", "not ours", "not ours to show", "not applicable", "met for dependencies",
          "network: not ours"}  # fmt: skip


def _section(head: str) -> str:
    return PAGE.partition(f"\n## {head}\n")[2].partition("\n## ")[0]


def _rows(head: str) -> list[list[str]]:
    lines = [line for line in _section(head).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|docs|deploy)/[\w/.-]+)`", PAGE))))
def test_every_test_and_file_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("head", ["What is promised", "Limits, tried by exceeding them"])
def test_every_promise_and_every_limit_names_its_test(head: str) -> None:
    rows = _rows(head)
    assert len(rows) >= 10
    assert [row[0] for row in rows if "`tests/" not in row[-1]] == []


def test_every_control_has_a_state_and_one_that_is_met_says_where() -> None:
    rows = _rows("OpenSSF OSPS Baseline, level 1") + _rows("等保 2.0, level 3: extension for the Internet of Things")
    assert len(rows) == 24 + 15
    assert {row[-1] for row in rows} <= STATES
    assert [row for row in rows if row[-1] == "met" and not row[-2]] == []


def test_controls_are_those_of_the_version_it_names_each_once() -> None:
    ids = re.findall(r"^\| (OSPS-[A-Z]{2}-\d\d\.\d\d) ", PAGE, re.MULTILINE)
    assert (len(ids), len(set(ids)), ids) == (24, 24, sorted(ids))


def test_a_weakness_is_reported_in_private_and_no_address_is_made_up() -> None:
    assert "Report a vulnerability" in REPORT
    assert "@" not in REPORT
