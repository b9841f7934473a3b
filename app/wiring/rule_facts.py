"""What is known of everything that findings name as their rule: the rules, and what the engine itself finds."""

from __future__ import annotations

from contracts.rules import RuleFacts
from detectors.registry import rule_facts
from streams.engine.finding_emitter import ENGINE_FACTS


def finding_facts() -> dict[str, RuleFacts]:
    """Return the facts of every rule and of the engine's own findings, by the name that stands in ``Finding.rule``."""
    return {**rule_facts(), **ENGINE_FACTS}
