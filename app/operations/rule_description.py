"""A rule as people read about it: its names, what its own text says, and its facts with units and ranges."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from console.catalogue import MessageCatalogue
from contracts.durations import HOUR_MS
from contracts.events import EVENT_TYPES
from contracts.rules import RuleFacts, Threshold, plain_number
from detectors.core.facts import FACT_UNITS
from detectors.core.rule import Rule


class RuleDescription(msgspec.Struct, frozen=True):
    """What is said of one rule, in words; ``paragraphs`` is its module's text from the situation on, in Markdown."""

    name: str
    summary: str
    paragraphs: tuple[str, ...]
    accepts: tuple[str, ...]
    waits: str
    remembers: str
    facts: RuleFacts


def describe(rule: Rule[Any]) -> RuleDescription:
    """Return what ``rule`` and its module say."""
    first, *rest = _paragraphs(inspect.getdoc(sys.modules[type(rule).__module__]) or "")
    kinds = [name for name, kind in EVENT_TYPES.items() if issubclass(kind, rule.accepts)]
    return RuleDescription(
        name=rule.name,
        summary=first.partition(": ")[2] or first,
        paragraphs=tuple(rest),
        accepts=tuple(kinds),
        waits=duration(rule.max_out_of_orderness_ms) if rule.max_out_of_orderness_ms else "not at all",
        remembers=_remembers(rule),
        facts=rule.facts,
    )


def _remembers(rule: Rule[Any]) -> str:
    if rule.horizon_ms is not None:
        return duration(rule.horizon_ms)
    return "no window: one event decides" if rule.instant else "no window: its last word counts"


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a docstring, each one line, with the names in it as Markdown writes them."""
    joined = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return [part.replace("``", "`") for part in joined] or [""]


def duration(ms: float) -> str:
    """Return milliseconds as people say them.

    >>> [duration(ms) for ms in (200, 2_000, 90_000, 900_000, 3_600_000, 50_400_000)]
    ['200 ms', '2 s', '90 s', '15 min', '1 h', '14 h']
    """
    for unit, size in (("h", HOUR_MS), ("min", 60_000), ("s", 1_000)):
        if ms and ms % size == 0:
            return f"{plain_number(ms / size)} {unit}"
    return f"{plain_number(ms)} ms"


def threshold_default(threshold: Threshold) -> str:
    """Return its default with the unit; of a duration also as people say it."""
    if threshold.switch:
        return "1 (on)" if threshold.default else "0 (off)"
    plain = f"{plain_number(threshold.default)} {threshold.unit}".rstrip()
    said = duration(threshold.default) if threshold.unit == "ms" else plain
    return plain if said == plain else f"{plain} ({said})"


def fact_lines(codes: Iterable[str], words: MessageCatalogue) -> list[str]:
    """Return each code with its phrase and unit, as ``code: phrase``."""
    lines = []
    for code in codes:
        unit = FACT_UNITS[code]
        lines.append(f"`{code}`: {words.text(f'fact.{code}', value=f'… {unit}'.rstrip())}")
    return lines
