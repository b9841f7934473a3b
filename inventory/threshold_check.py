"""Whether a rule has the threshold that somebody sets, and may be given such a number. Pure.

Only what people write is refused; a record that is in a log already is counted and passed over (``streams.engine``).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

from contracts.errors import ConfigurationError
from contracts.events import ThresholdConfigured
from contracts.rules import plain_number
from detectors.registry import rule_facts


def check_threshold(record: ThresholdConfigured, where: str) -> None:
    """Raise ConfigurationError unless a rule has this threshold and allows its value; taking one back is always right.

    Args:
        record: what somebody wrote.
        where: the place in their file, or the record's name; the message begins with it.
    """
    if record.removed:
        return
    rules = rule_facts()
    if record.rule not in rules:
        raise ConfigurationError(f"{where}: no rule is called {record.rule!r}{_instead(record.rule, rules)}")
    declared = {threshold.name: threshold for threshold in rules[record.rule].thresholds}
    threshold = declared.get(record.name)
    if threshold is None:
        instead = _instead(record.name, declared)
        raise ConfigurationError(f"{where}: rule {record.rule} has no threshold {record.name!r}{instead}")
    if not threshold.allows(record.value):
        raise ConfigurationError(
            f"{where}: {threshold.key} is {plain_number(record.value)}, expected {threshold.allowed}"
            f" (default {plain_number(threshold.default)}); `linli rules show {record.rule}` says what it means"
        )


def _instead(wrong: str, known: Collection[str]) -> str:
    """Say what was probably meant, else everything there is."""
    close = difflib.get_close_matches(wrong, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(sorted(known))}"
