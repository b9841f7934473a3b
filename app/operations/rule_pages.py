"""``docs/rules``: a page a rule and their index, written from the rules themselves; ``make schemas`` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app.operations.rule_description import RuleDescription, describe, fact_lines, threshold_default
from console.catalogue import catalogue
from contracts.rules import Threshold
from detectors.core.rule import Rule
from detectors.registry import all_rules

FOLDER = Path(__file__).parent.parent.parent / "docs" / "rules"
INDEX = "README.md"
WRITTEN = "<!-- Written by `make schemas` from the rule's own file. Change that, not this page. -->\n"
_CHINESE, _ENGLISH = catalogue("zh-CN"), catalogue("en")


def pages(rules: Sequence[Rule[Any]] | None = None) -> dict[str, str]:
    """Return file name → text of the index and of each rule's page."""
    described = [describe(rule) for rule in (all_rules() if rules is None else rules)]
    return {INDEX: _index(described)} | {f"{one.name}.md": _page(one) for one in described}


def _index(described: Iterable[RuleDescription]) -> str:
    rows = [
        (f"[`{one.name}`]({one.name}.md)", *_titles(one.name), one.summary, str(one.facts.severity), _yes(one))
        for one in described
    ]
    head = ("rule", "English", "中文", "what it finds", "severity", "life safety")
    return f"# Rules 规则\n{WRITTEN}\n{_table(head, rows)}"


def _page(one: RuleDescription) -> str:
    english, chinese = _titles(one.name)
    parts = [
        f"# `{one.name}`: {english} {chinese}\n{WRITTEN}",
        f"{one.summary[:1].upper()}{one.summary[1:]}\n",
        *(f"{paragraph}\n" for paragraph in one.paragraphs),
        _table(("", ""), _properties(one)),
        "## Thresholds 阈值\n",
        _table(("name", "what it is", "含义", "default", "allowed", "why"), map(_threshold, one.facts.thresholds)),
        *_also_reads(one),
        "## Facts 事实\n",
        "\n".join(f"- {line}" for line in _facts(one)) + "\n",
    ]
    return "\n".join(parts)


def _titles(name: str) -> tuple[str, str]:
    return _ENGLISH.word("scenario", name), _CHINESE.word("scenario", name)


def _properties(one: RuleDescription) -> list[tuple[str, str]]:
    facts = one.facts
    severity = f"{facts.severity} {_CHINESE.word('severity', facts.severity)}"
    return [
        ("severity it starts with", severity),
        ("life safety", _yes(one)),
        ("over when it is found", "yes" if facts.momentary else "no: it is closed when it ends"),
        ("waits for late events", one.waits),
        ("remembers", one.remembers),
        ("joins an incident of the last", f"{facts.regroup_ms // 1000} s"),
        ("kinds of events it takes", ", ".join(f"`{kind}`" for kind in one.accepts)),
    ]


def _yes(one: RuleDescription) -> str:
    return "yes" if one.facts.life_safety else "no"


def _threshold(threshold: Threshold) -> tuple[str, ...]:
    english, chinese = (words.text(f"threshold.{threshold.key}") for words in (_ENGLISH, _CHINESE))
    default = threshold_default(threshold)
    return (f"`{threshold.name}`", english, chinese, default, threshold.allowed, threshold.meaning)


def _also_reads(one: RuleDescription) -> list[str]:
    read = ", ".join(f"[`{each.key}`]({each.rule}.md)" for each in one.facts.reads)
    return [f"It also follows {read}.\n"] if read else []


def _facts(one: RuleDescription) -> list[str]:
    codes = one.facts.fact_codes
    both = zip(codes, fact_lines(codes, _ENGLISH), fact_lines(codes, _CHINESE), strict=True)
    return [f"{english} · {chinese.removeprefix(f'`{code}`: ')}" for code, english, chinese in both]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write every page; a page of a rule that is gone goes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
