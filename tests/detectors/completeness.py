"""What a rule needs besides its file, and which of it is missing: the places that a newcomer forgets, by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from console.catalogue import LANGUAGES
from contracts.rules import RuleFacts, Threshold
from detectors.core.facts import FACT_UNITS, FACT_VALUES
from detectors.core.rule import Rule

NO_RULES = ("core", "vision")
"""Folders of detectors without rules: what every rule is made of, and what turns pictures into observations."""

SAID = ("Situation", "Events", "Thresholds", "What it will not catch", "Late data")
"""What a rule's module says, each at the beginning of a paragraph."""


Texts = Mapping[str, Mapping[str, str]]
"""Language → key → text."""


class RuleFile(msgspec.Struct, frozen=True):
    """A module of ``detectors`` with a rule's class in it, read without importing it."""

    path: Path
    name: str
    class_name: str
    text: str
    states_facts: bool


def rule_files(root: Path) -> list[RuleFile]:
    """Return every rule's file under ``root/detectors``, registered or not."""
    found: list[RuleFile] = []
    for path in sorted((root / "detectors").glob("*/*.py")):
        if path.parent.name not in NO_RULES:
            found += _rules_in(path)
    return found


def _rules_in(path: Path) -> Iterator[RuleFile]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = dict(_constants(tree.body))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            stated = dict(_constants(node.body))
            if "accepts" in stated and "name" in stated:
                name = _text(stated["name"], constants) or path.stem
                yield RuleFile(path, name, node.name, ast.get_docstring(tree) or "", "facts" in stated)


def _constants(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _text(value: ast.expr, constants: Mapping[str, ast.expr]) -> str | None:
    if isinstance(value, ast.Name):
        value = constants.get(value.id, value)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def missing(file: RuleFile, rules: Iterable[Rule[Any]], texts: Texts, root: Path) -> list[str]:
    """Return every place that lacks something of the rule in ``file``, each with what it lacks.

    Args:
        file: the rule's file.
        rules: those of the registry.
        texts: of the catalogues.
        root: of the repository.
    """
    registered = {rule.name: rule for rule in rules}.get(file.name)
    facts = None if registered is None else getattr(registered, "facts", None)
    return [
        *_unsaid(file, root),
        *([] if registered is not None else [f"detectors/registry.py: no line for {file.class_name}"]),
        *([] if file.states_facts else [f"{file.path.relative_to(root)}: {file.class_name} states no `facts`"]),
        *_missing_texts(file.name, facts, texts),
        *_missing_files(file, root),
    ]


def _unsaid(file: RuleFile, root: Path) -> Iterator[str]:
    where = file.path.relative_to(root)
    if file.path.stem != file.name:
        yield f"{where}: the file of {file.name!r} is not called {file.name}.py"
    if not re.match(rf"`{file.name}` \S+: \S", file.text):
        yield f'{where}: the module\'s first line is not "`{file.name}` 中文名: what it finds"'
    for said in SAID:
        if not re.search(rf"^{said}\b", file.text, re.MULTILINE):
            yield f'{where}: the module\'s text has no paragraph "{said}"'


def _missing_texts(name: str, facts: RuleFacts | None, texts: Texts) -> Iterator[str]:
    keys = [f"scenario.{name}", f"sentence.{name}"]
    for code in () if facts is None else facts.fact_codes:
        if code not in FACT_UNITS:
            yield f"detectors/core/facts.py: FACT_UNITS has no {code!r}"
        keys += [f"fact.{code}", *(f"word.{code}.{word}" for word in FACT_VALUES.get(code, ()))]
        keys += [f"unit.{FACT_UNITS[code]}"] if FACT_UNITS.get(code) else []
    keys += [f"threshold.{threshold.key}" for threshold in (() if facts is None else facts.thresholds)]
    for language in LANGUAGES:
        for key in keys:
            if key not in texts[language]:
                yield f"console/catalogues/{language}.json: no {key!r}"


def _missing_files(file: RuleFile, root: Path) -> Iterator[str]:
    name = file.name
    needed = {
        f"tests/scenarios/{name}.jsonl": "a golden scenario (tests/detectors/golden.py)",
        f"tests/scenarios/{name}.findings.jsonl": "its findings (python -m tests.detectors.golden)",
        f"tests/detectors/{file.path.parent.name}/test_{name}.py": "a table test and a near miss",
        f"docs/rules/{name}.md": "its page (make schemas)",
    }
    yield from (f"{place}: not there; it holds {what}" for place, what in needed.items() if not (root / place).exists())
    if not any(f'"{name}"' in path.read_text(encoding="utf-8") for path in (root / "simulator").rglob("*.py")):
        yield f"simulator/: no situation of {name!r} with its truth"
    for place, begun, what in (
        ("tests/detectors/golden.py", f'    "{name}": ', f"no scenario of {name!r} in SCENARIOS"),
        ("docs/simulator.md", f"| `{name}` |", f"no row for `{name}`"),
        ("README.md", f"| `{name}` ", f"no row for `{name}` in *What it finds*"),
    ):
        if not any(line.startswith(begun) for line in (root / place).read_text(encoding="utf-8").splitlines()):
            yield f"{place}: {what}"


def undeclared(module_values: Mapping[str, object], rules: Iterable[Rule[Any]]) -> list[str]:
    """Return the keys of thresholds that a module defines, but the rule that they name does not list in its facts."""
    declared = {threshold.key for rule in rules for threshold in rule.facts.thresholds}
    return sorted({threshold.key for threshold in _thresholds(module_values.values())} - declared)


def _thresholds(values: Iterable[object]) -> Iterator[Threshold]:
    for value in values:
        if isinstance(value, Threshold):
            yield value
        elif isinstance(value, dict):
            yield from _thresholds(value.values())
        elif isinstance(value, tuple):
            yield from _thresholds(value)
