"""The pages of the rules are what the rules say of themselves."""

from __future__ import annotations

import pytest

from app.operations.rule_description import duration, threshold_default
from app.operations.rule_pages import FOLDER, INDEX, pages
from contracts.rules import Threshold
from detectors.registry import rule_facts


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_committed_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "run `make schemas` and commit docs/rules"


def test_there_is_a_page_for_every_rule_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(pages()) == {INDEX, *(f"{name}.md" for name in rule_facts())}


@pytest.mark.parametrize("name", sorted(rule_facts()))
def test_a_page_names_every_threshold_and_every_fact_of_its_rule(name: str) -> None:
    page, facts = pages()[f"{name}.md"], rule_facts()[name]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(facts.thresholds)
    assert all(row.startswith(f"| `{each.name}` |") for row, each in zip(rows, facts.thresholds, strict=True))
    assert all(f"- `{code}`: " in page for code in facts.fact_codes)


@pytest.mark.parametrize(
    ("unit", "default", "switch", "said"),
    [
        ("ms", 90_000, False, "90000 ms (90 s)"),
        ("ms", 50, False, "50 ms"),
        ("°C", 60.0, False, "60 °C"),
        ("", 0.5, False, "0.5"),
        ("", 1, True, "1 (on)"),
        ("", 0, True, "0 (off)"),
    ],
)
def test_a_default_is_said_as_people_say_it(unit: str, default: float, switch: bool, said: str) -> None:
    assert threshold_default(Threshold("r", "n", default, 0, 100_000, unit, "why", switch=switch)) == said


@pytest.mark.parametrize(("ms", "said"), [(0, "0 ms"), (200, "200 ms"), (1_500, "1500 ms"), (50_400_000, "14 h")])
def test_a_duration_is_said_in_the_largest_unit_that_divides_it(ms: int, said: str) -> None:
    assert duration(ms) == said
