"""A rule that lacks something fails here with the name of each place that lacks it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from console.catalogue import LANGUAGES, catalogue
from contracts.findings import Severity
from contracts.rules import RuleFacts, Threshold
from detectors.core.facts import FACT_UNITS
from detectors.core.rule import Rule
from detectors.core.site_view import SiteView
from detectors.registry import all_rules, rule_facts, thresholds
from streams.engine.finding_emitter import ENGINE_FACTS
from tests.detectors.completeness import missing, rule_files, undeclared
from tests.detectors.golden import events_of, found_in

ROOT = Path(__file__).parents[2]
TEXTS = {language: catalogue(language).texts for language in LANGUAGES}
FILES = rule_files(ROOT)

GATE_LEFT_OPEN = '''"""A rule in a hurry."""
from typing import ClassVar

RULE = "gate_left_open"

class GateLeftOpen:
    name: ClassVar[str] = RULE
    accepts: ClassVar[tuple[type, ...]] = ()
'''


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_nothing_of_a_rule_is_missing(file: Any) -> None:
    told = missing(file, all_rules(), TEXTS, ROOT)
    assert not told, "\n".join(told)


def test_every_rule_of_the_registry_has_its_file() -> None:
    assert sorted(file.name for file in FILES) == [rule.name for rule in all_rules()]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A repository whose only rule has a file and nothing else."""
    for folder in ("detectors/doors", "detectors/core", "simulator", "docs", "tests/detectors"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "detectors" / "doors" / "gate_left_open.py").write_text(GATE_LEFT_OPEN)
    (tmp_path / "simulator" / "doors.py").write_text('STRANGER = "stranger_entry"\n')
    (tmp_path / "docs" / "simulator.md").write_text("| `stranger_entry` | |\n")
    (tmp_path / "README.md").write_text("| `stranger_entry` 尾随进入 | |\n")
    (tmp_path / "tests" / "detectors" / "golden.py").write_text("SCENARIOS = {}\n")
    return tmp_path


def test_a_new_rule_is_told_every_place_that_it_lacks(planted: Path) -> None:
    (file,) = rule_files(planted)
    told = missing(file, all_rules(), TEXTS, planted)
    assert [line.partition(":")[0] for line in told] == [
        *["detectors/doors/gate_left_open.py"] * 6,
        "detectors/registry.py",
        "detectors/doors/gate_left_open.py",
        *["console/catalogues/zh-CN.json"] * 2,
        *["console/catalogues/en.json"] * 2,
        "tests/scenarios/gate_left_open.jsonl",
        "tests/scenarios/gate_left_open.findings.jsonl",
        "tests/detectors/doors/test_gate_left_open.py",
        "docs/rules/gate_left_open.md",
        "simulator/",
        "tests/detectors/golden.py",
        "docs/simulator.md",
        "README.md",
    ]
    assert "detectors/registry.py: no line for GateLeftOpen" in told
    assert "detectors/doors/gate_left_open.py: GateLeftOpen states no `facts`" in told
    assert "simulator/: no situation of 'gate_left_open' with its truth" in told


OPEN = Threshold("gate_left_open", "open_ms", 60_000, 1_000, 600_000, "ms", "how long")


class _GateLeftOpen:
    name: ClassVar[str] = "gate_left_open"
    facts: ClassVar[RuleFacts] = RuleFacts(severity=Severity.MINOR, thresholds=(OPEN,), fact_codes=("open_for_s",))


def test_once_registered_it_is_told_the_words_and_facts_that_it_lacks_too(planted: Path) -> None:
    (file,) = rule_files(planted)
    rule: Any = _GateLeftOpen()
    told = missing(file, [rule], TEXTS, planted)
    assert "detectors/core/facts.py: FACT_UNITS has no 'open_for_s'" in told
    for language in LANGUAGES:
        for key in ("fact.open_for_s", "threshold.gate_left_open.open_ms"):
            assert f"console/catalogues/{language}.json: no {key!r}" in told


def test_a_threshold_that_its_rule_does_not_list_is_named() -> None:
    other = Threshold("gate_left_open", "shut_ms", 60_000, 1_000, 600_000, "ms", "how long")
    rule: Any = _GateLeftOpen()
    assert undeclared({"OPEN": OPEN, "BY_USE": {"lift": other}}, [rule]) == ["gate_left_open.shut_ms"]


def _modules() -> Iterator[str]:
    for path in sorted((ROOT / "detectors").rglob("*.py")):
        if "vision" not in path.parts:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("module", list(_modules()))
def test_every_threshold_in_the_code_is_one_of_its_rules_facts(module: str) -> None:
    lost = undeclared(vars(importlib.import_module(module)), all_rules())
    assert lost == [], f"{module}: no rule of the registry lists {lost} in the thresholds of its facts"


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.name)
def test_a_rule_asks_only_for_thresholds_that_its_facts_name(rule: Rule[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()

    def threshold(_: SiteView, wanted: Threshold) -> float:
        asked.add(wanted.key)
        return wanted.default

    monkeypatch.setattr(SiteView, "threshold", threshold)
    found_in(events_of(rule.name), rules=(rule,))
    assert asked
    assert asked <= {each.key for each in (*rule.facts.thresholds, *rule.facts.reads)}


def test_no_threshold_and_no_fact_code_is_left_over() -> None:
    stated = {code for facts in (*rule_facts().values(), *ENGINE_FACTS.values()) for code in facts.fact_codes}
    assert stated == set(FACT_UNITS)
    for language in LANGUAGES:
        worded = {key.removeprefix("threshold.") for key in TEXTS[language] if key.startswith("threshold.")}
        assert worded == set(thresholds())
