"""What is known of a rule besides its code: its urgency, how its episodes are grouped, its thresholds, its facts.

Each rule states a :class:`RuleFacts` on its own class; ``detectors.registry`` gathers them. Whoever needs them without
knowing any rule (incidents) is handed the table.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.findings import Severity

REGROUP_DEFAULT_MS = 600_000
"""An OPEN within this time of a live incident's last activity extends it, unless the rule says otherwise."""


class Threshold(msgspec.Struct, frozen=True):
    """A number of a rule that a site may replace.

    ``minimum`` and ``maximum`` are allowed themselves. ``switch``: 1 (on) or 0 (off), and nothing between.
    ``meaning`` says what it is and why the default is what it is. ``key`` names it among all thresholds.
    """

    rule: str
    name: str
    default: float
    minimum: float
    maximum: float
    unit: str
    meaning: str
    switch: bool = False
    key: str = ""

    def __post_init__(self) -> None:
        """Name it once: rules ask for it at every event."""
        msgspec.structs.force_setattr(self, "key", f"{self.rule}.{self.name}")

    def allows(self, value: float) -> bool:
        """Return whether a site may set ``value``; never true of NaN.

        >>> Threshold("door", "held_ms", 30_000, 1_000, 600_000, "ms", "how long").allows(float("nan"))
        False
        """
        return self.minimum <= value <= self.maximum and (not self.switch or value in (0, 1))

    @property
    def allowed(self) -> str:
        """Say which values it allows, with the unit, for people."""
        if self.switch:
            return "1 (on) or 0 (off)"
        return f"{plain_number(self.minimum)} to {plain_number(self.maximum)} {self.unit}".rstrip()


def plain_number(value: float) -> str:
    """Return a number as people write it, without an exponent or a needless ``.0`` where it can be.

    >>> plain_number(3_600_000), plain_number(0.05), plain_number(float("nan"))
    ('3600000', '0.05', 'nan')
    """
    return f"{value:.15g}"


class RuleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says of itself.

    Args:
        severity: what its findings start with, unless a draft says otherwise.
        life_safety: a life may depend on them.
        momentary: what it finds is over when it is found (a fall, a passage); such an episode has no CLOSE.
        regroup_ms: an OPEN within this time of a live incident's last activity extends it.
        thresholds: its own, in the order in which people should read them.
        reads: thresholds of other rules that it follows too.
        fact_codes: every code that its findings may state (``detectors.core.facts``).
    """

    severity: Severity
    life_safety: bool = False
    momentary: bool = False
    regroup_ms: int = REGROUP_DEFAULT_MS
    thresholds: tuple[Threshold, ...] = ()
    reads: tuple[Threshold, ...] = ()
    fact_codes: tuple[str, ...] = ()


UNKNOWN_RULE = RuleFacts(severity=Severity.INFO)
"""A rule without an entry, of an old log or a newer version. Its findings carry their own severity and life safety,
and those hold; only how its episodes end and are grouped has to be assumed: with a CLOSE, within ten minutes.
"""


def facts_of(rules: Mapping[str, RuleFacts], rule: str) -> RuleFacts:
    """Return the facts of ``rule``, or :data:`UNKNOWN_RULE`: a finding must become an incident whoever made it."""
    return rules.get(rule, UNKNOWN_RULE)
