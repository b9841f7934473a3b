"""Which rules wait together (a class: one bound), which kinds reach them, and the digest that names these rules."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from contracts.configuration_rows import row_key
from contracts.durations import HOUR_MS
from contracts.errors import ConfigurationError
from contracts.events import (
    EVENT_TYPES,
    BacklogDrained,
    ConfigurationRecord,
    Event,
    IngestInterrupted,
    ThresholdConfigured,
)
from detectors.core.rule import Rule
from detectors.core.site_view import SiteView
from streams.engine.state_schema import hashed_schema

PER_SOURCE_BOUND_MS = 200
"""In classes up to this bound lateness is judged per source: single-source and life-safety rules.

See docs/protocol.md#lateness.
"""

MAX_REJUDGED_HORIZON_MS = 6 * HOUR_MS
"""A rule that remembers more is not re-judged."""

VIEW_KINDS = frozenset(
    kind for kind in EVENT_TYPES.values() if issubclass(kind, ConfigurationRecord) or kind is IngestInterrupted
)
"""Kinds that every class folds into its SiteView."""

ROW_VERSION = 1
"""Schema of a snapshot row; part of the digest."""


class Unit:
    """One rule with what the engine asks of it at every event, looked up once."""

    __slots__ = ("bound_ms", "facts", "horizon_ms", "instant", "name", "rejudged", "rule", "state_type", "version")

    def __init__(self, rule: Rule[Any]) -> None:
        self.rule = rule
        self.name = rule.name
        self.version = rule.version
        self.bound_ms = rule.bound_ms
        self.instant = rule.instant
        self.state_type = rule.state_type
        self.facts = rule.facts
        self.horizon_ms = rule.horizon_ms or 0
        remembered = rule.horizon_ms is not None and rule.horizon_ms <= MAX_REJUDGED_HORIZON_MS
        self.rejudged = remembered and not rule.receipt and not rule.instant


class RuleClass:
    """All rules with one bound, in order of their names. ``by_kind``: the units that accept a kind."""

    __slots__ = ("bound_ms", "by_kind", "index", "per_source", "units")

    def __init__(self, index: int, bound_ms: int, units: Sequence[Unit]) -> None:
        self.index = index
        self.bound_ms = bound_ms
        self.per_source = bound_ms <= PER_SOURCE_BOUND_MS
        self.units = tuple(units)
        self.by_kind = {kind: _accepting(units, kind) for kind in EVENT_TYPES.values()}


class Rulebook:
    """The rules of an engine, sorted, so that the order in which they were given plays no part.

    ``routes``: the classes that take a kind; a kind that is not listed leaves no trace.

    Raises:
        ConfigurationError: two rules with one name, or a negative bound.
    """

    def __init__(self, rules: Iterable[Rule[Any]]) -> None:
        units = sorted((Unit(rule) for rule in rules), key=lambda unit: unit.name)
        _check(units)
        bounds = sorted({unit.bound_ms for unit in units})
        self.units = {unit.name: unit for unit in units}
        self.classes = tuple(
            RuleClass(n, bound, [u for u in units if u.bound_ms == bound]) for n, bound in enumerate(bounds)
        )
        routes = {kind: _taking(self.classes, kind) for kind in EVENT_TYPES.values()}
        self.routes: dict[type[Event], tuple[RuleClass, ...]] = {
            kind: classes for kind, classes in routes.items() if classes or kind is BacklogDrained
        }
        self.digest = _digest(units)
        declared = [t for unit in units for t in (*unit.facts.thresholds, *unit.facts.reads)]
        self._thresholds = {threshold.key: threshold for threshold in declared}

    def passes_over(self, record: ThresholdConfigured) -> bool:
        """Return whether ``record`` sets a number that its rule may not be given.

        A record in the log is never fatal: what was in force before stays in force. Taking a number back always holds.
        """
        return not record.removed and self.refuses(row_key(record), record.value)

    def is_followed(self, record: ThresholdConfigured) -> bool:
        """Return whether ``record`` says something to a rule here; if not, that is counted."""
        return row_key(record) in self._thresholds and not self.passes_over(record)

    def refuses(self, key: str, value: float) -> bool:
        """Return whether a rule here reads the threshold ``key`` and may not be given ``value``.

        What no rule reads is kept as it is, for a later version that has the rule.
        """
        threshold = self._thresholds.get(key)
        return threshold is not None and not threshold.allows(value)


def _taking(classes: Iterable[RuleClass], kind: type[Event]) -> tuple[RuleClass, ...]:
    return tuple(c for c in classes if kind in VIEW_KINDS or c.by_kind[kind])


def _accepting(units: Iterable[Unit], kind: type[Event]) -> tuple[Unit, ...]:
    return tuple(unit for unit in units if issubclass(kind, unit.rule.accepts))


def _check(units: Sequence[Unit]) -> None:
    for before, after in itertools.pairwise(units):
        if before.name == after.name:
            raise ConfigurationError(f"two rules are called {after.name!r}; a rule's name is part of every finding id")
    for unit in units:
        if unit.bound_ms < 0:
            raise ConfigurationError(f"rule {unit.name}: bound_ms is {unit.bound_ms}, expected 0 or more")


def _digest(units: Sequence[Unit]) -> str:
    """24 hex digits over the rules, their constants, their states as they are stored, the view and the row."""
    described: list[object] = [ROW_VERSION, SiteView.__struct_fields__]
    for unit in units:
        rule = unit.rule
        kinds = sorted(
            str(kind.__struct_config__.tag) for kind in EVENT_TYPES.values() if issubclass(kind, rule.accepts)
        )
        constants = (rule.name, rule.version, rule.bound_ms, rule.horizon_ms, rule.instant, rule.receipt)
        described.append((constants, kinds, hashed_schema(rule.name, rule.state_type)))
    return hashlib.blake2b(msgspec.json.encode(described, order="sorted"), digest_size=12).hexdigest()
