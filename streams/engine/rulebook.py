"""Which rules wait together (a group: one bound), which kinds reach them, and the digest that names these rules."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from contracts.configuration_rows import row_key
from contracts.durations import HOUR_MS
from contracts.erasure import UNKEYED, ReferenceKey
from contracts.errors import ConfigurationError
from contracts.events import (
    EVENT_TYPES,
    RECORD_TYPES,
    BacklogDrained,
    ClockStepped,
    Event,
    IngestInterrupted,
    ThresholdConfigured,
)
from detectors.core.rule import Rule
from detectors.core.site_view import SiteView
from streams.engine.state_schema import hashed_schema

PER_SOURCE_BOUND_MS = 200
"""In groups up to this bound lateness is judged per source: single-source and life-safety rules.

See docs/protocol.md#lateness.
"""

MAX_REJUDGED_HORIZON_MS = 6 * HOUR_MS
"""A rule that remembers more is not re-judged."""

VIEW_KINDS = RECORD_TYPES | {IngestInterrupted}
"""Kinds that every group folds into its SiteView."""

ROW_VERSION = 1
"""Schema of a snapshot row whose change is a new version of the rules; part of the digest."""


class BoundRule:
    """One rule with what the engine asks of it at every event, looked up once.

    ``buffer``: scratch space to measure its states in. They are of about one size, so it is seldom allocated anew.
    """

    __slots__ = (
        "buffer",
        "facts",
        "horizon_ms",
        "instant",
        "max_out_of_orderness_ms",
        "name",
        "receipt",
        "rejudged",
        "rule",
        "state_type",
        "version",
    )

    def __init__(self, rule: Rule[Any]) -> None:
        self.rule = rule
        self.name = rule.name
        self.version = rule.version
        self.max_out_of_orderness_ms = rule.max_out_of_orderness_ms
        self.instant, self.receipt = rule.instant, rule.receipt
        self.state_type = rule.state_type
        self.facts = rule.facts
        self.buffer = bytearray()
        self.horizon_ms = rule.horizon_ms or 0
        remembered = rule.horizon_ms is not None and rule.horizon_ms <= MAX_REJUDGED_HORIZON_MS
        self.rejudged = remembered and not rule.receipt and not rule.instant


class LatenessGroup:
    """All rules with one bound, in order of their names. ``by_kind``: the rules that accept a kind."""

    __slots__ = ("by_kind", "index", "max_out_of_orderness_ms", "per_source", "rules")

    def __init__(self, index: int, max_out_of_orderness_ms: int, bound_rules: Sequence[BoundRule]) -> None:
        self.index = index
        self.max_out_of_orderness_ms = max_out_of_orderness_ms
        self.per_source = max_out_of_orderness_ms <= PER_SOURCE_BOUND_MS
        self.rules = tuple(bound_rules)
        self.by_kind = {kind: _accepting(bound_rules, kind) for kind in EVENT_TYPES.values()}


class Rulebook:
    """The rules of an engine, sorted, so that the order in which they were given plays no part.

    ``routes``: the groups that take a kind; a kind that is not listed leaves no trace.

    Args:
        reference_key: by which references that were erased are recognised.

    Raises:
        ConfigurationError: two rules with one name, or a negative bound.
    """

    def __init__(self, rules: Iterable[Rule[Any]], reference_key: ReferenceKey = UNKEYED) -> None:
        self.reference_key = reference_key
        bound_rules = sorted((BoundRule(rule) for rule in rules), key=lambda bound_rule: bound_rule.name)
        _check(bound_rules)
        bounds = sorted({bound_rule.max_out_of_orderness_ms for bound_rule in bound_rules})
        self.rules = {bound_rule.name: bound_rule for bound_rule in bound_rules}
        self.groups = tuple(
            LatenessGroup(n, bound, [u for u in bound_rules if u.max_out_of_orderness_ms == bound])
            for n, bound in enumerate(bounds)
        )
        routes = {kind: _taking(self.groups, kind) for kind in EVENT_TYPES.values()}
        self.routes: dict[type[Event], tuple[LatenessGroup, ...]] = {
            kind: groups for kind, groups in routes.items() if groups or kind in (BacklogDrained, ClockStepped)
        }
        self.digest = _digest(bound_rules)
        declared = [t for bound_rule in bound_rules for t in (*bound_rule.facts.thresholds, *bound_rule.facts.reads)]
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


def _taking(groups: Iterable[LatenessGroup], kind: type[Event]) -> tuple[LatenessGroup, ...]:
    return tuple(group for group in groups if kind in VIEW_KINDS or group.by_kind[kind])


def _accepting(bound_rules: Iterable[BoundRule], kind: type[Event]) -> tuple[BoundRule, ...]:
    return tuple(bound_rule for bound_rule in bound_rules if issubclass(kind, bound_rule.rule.accepts))


def _check(bound_rules: Sequence[BoundRule]) -> None:
    for before, after in itertools.pairwise(bound_rules):
        if before.name == after.name:
            raise ConfigurationError(f"two rules are called {after.name!r}; a rule's name is part of every finding id")
    for bound_rule in bound_rules:
        if bound_rule.max_out_of_orderness_ms < 0:
            raise ConfigurationError(
                f"rule {bound_rule.name}: max_out_of_orderness_ms is "
                f"{bound_rule.max_out_of_orderness_ms}, expected 0 or more"
            )


def _digest(bound_rules: Sequence[BoundRule]) -> str:
    """Return 24 hex digits over the rules, their constants, their states as they are stored, the view and the row."""
    described: list[object] = [ROW_VERSION, SiteView.__struct_fields__]
    for bound_rule in bound_rules:
        rule = bound_rule.rule
        kinds = sorted(
            str(kind.__struct_config__.tag) for kind in EVENT_TYPES.values() if issubclass(kind, rule.accepts)
        )
        constants = (rule.name, rule.version, rule.max_out_of_orderness_ms, rule.horizon_ms, rule.instant, rule.receipt)
        described.append((constants, kinds, hashed_schema(rule.name, rule.state_type)))
    return hashlib.blake2b(msgspec.json.encode(described, order="sorted"), digest_size=12).hexdigest()
