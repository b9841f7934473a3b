"""Whether a rule has the threshold that somebody sets, and may be given such a number. Pure.

Only what people write is refused; a record that is in a log already is counted and passed over (``streams.engine``).
"""

from __future__ import annotations

from contracts.errors import ConfigurationError
from contracts.events import ThresholdConfigured
from contracts.rules import plain_number
from contracts.suggestions import did_you_mean
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
        raise ConfigurationError(f"{where}: no rule is called {record.rule!r}; {did_you_mean(record.rule, rules)}")
    declared = {threshold.name: threshold for threshold in rules[record.rule].thresholds}
    threshold = declared.get(record.name)
    if threshold is None:
        instead = did_you_mean(record.name, declared)
        raise ConfigurationError(f"{where}: rule {record.rule} has no threshold {record.name!r}; {instead}")
    if not threshold.allows(record.value):
        raise ConfigurationError(
            f"{where}: {threshold.key} is {plain_number(record.value)}, expected {threshold.allowed}"
            f" (default {plain_number(threshold.default)}); `linli rules show {record.rule}` says what it means"
        )
