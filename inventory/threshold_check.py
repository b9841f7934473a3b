"""Whether a rule has the threshold that somebody sets, and may be given such a number. Pure.

Only what people write is refused; a record that is in a log already is counted and passed over (``streams.engine``).
"""

from __future__ import annotations

from contracts.events import ThresholdConfigured
from contracts.rules import Threshold, plain_number
from contracts.suggestions import did_you_mean
from detectors.registry import rule_facts
from inventory.faults import RecordFault


def threshold_fault(record: ThresholdConfigured) -> RecordFault | None:
    """Return what is wrong unless a rule has this threshold and allows its value; taking one back is always right."""
    if record.removed:
        return None
    rules = rule_facts()
    if record.rule not in rules:
        return RecordFault("rule", f"no rule is called {record.rule!r}; {did_you_mean(record.rule, rules)}")
    declared = {threshold.name: threshold for threshold in rules[record.rule].thresholds}
    threshold = declared.get(record.name)
    if threshold is None:
        instead = did_you_mean(record.name, declared)
        return RecordFault("name", f"rule {record.rule} has no threshold {record.name!r}; {instead}")
    if threshold.allows(record.value):
        return None
    return RecordFault(
        "value",
        f"{threshold.key} is {plain_number(record.value)}, expected {threshold.allowed}"
        f" (default {plain_number(threshold.default)}){_meant(threshold, record.value)};"
        f" `linli rules show {record.rule}` says what it means",
    )


def _meant(threshold: Threshold, value: float) -> str:
    """Return which number was meant, if it was written in seconds."""
    seconds = threshold.unit == "ms" and not threshold.allows(value) and threshold.allows(value * 1_000)
    return f"; seconds? Then write {plain_number(value * 1_000)}" if seconds else ""
