"""``linli rules``: what the rules find, and the numbers that a site may change."""

from __future__ import annotations

import click

from app.operations.rule_description import RuleDescription, describe, fact_lines, threshold_default
from console.catalogue import LANGUAGES, MessageCatalogue, catalogue
from contracts.errors import ConfigurationError
from contracts.rules import Threshold
from contracts.suggestions import did_you_mean
from detectors.registry import all_rules

_LANGUAGE = click.option("--lang", type=click.Choice(LANGUAGES), default="en", help="of names and words (default: en)")


@click.group("rules")
def command() -> None:
    """Show the rules: what each finds, how urgent it is, and which numbers a site may change.

    A site's own numbers are `[[threshold]]` tables of its inventory; see `linli inventory load --help`.
    """


@command.command("list")
@_LANGUAGE
def list_rules(lang: str) -> None:
    """Print every rule, one a line: name, severity, whether a life may depend on it, its title."""
    words = catalogue(lang)
    for rule in all_rules():
        facts = rule.facts
        life_safety = "life safety" if facts.life_safety else "-"
        title = words.word("scenario", rule.name)
        click.echo(f"{rule.name}\t{words.word('severity', facts.severity)}\t{life_safety}\t{title}")


@command.command("show")
@click.argument("name")
@_LANGUAGE
def show(name: str, lang: str) -> None:
    """Print one rule: its situation, its urgency, its thresholds with their ranges, and the facts it may state."""
    rules = {rule.name: rule for rule in all_rules()}
    if name not in rules:
        raise ConfigurationError(f"no rule is called {name!r}; {did_you_mean(name, rules)}")
    click.echo("\n".join(_lines(describe(rules[name]), catalogue(lang))))


def _lines(one: RuleDescription, words: MessageCatalogue) -> list[str]:
    facts = one.facts
    lines = [f"{one.name}: {words.word('scenario', one.name)}", "", one.summary, ""]
    for paragraph in one.paragraphs:
        lines += [click.wrap_text(paragraph, width=100), ""]
    return [
        *lines,
        f"severity it starts with   {words.word('severity', facts.severity)}",
        f"life safety               {'yes' if facts.life_safety else 'no'}",
        f"over when it is found     {'yes' if facts.momentary else 'no'}",
        f"waits for late events     {one.waits}",
        f"remembers                 {one.remembers}",
        f"joins an incident within  {facts.regroup_ms // 1000} s of its last activity",
        f"kinds of events it takes  {', '.join(one.accepts)}",
        "",
        "thresholds",
        *(line for each in facts.thresholds for line in _threshold(each, words)),
        *(f"  also follows {each.key}" for each in facts.reads),
        "",
        "facts",
        *(f"  {line}" for line in fact_lines(facts.fact_codes, words)),
    ]


def _threshold(threshold: Threshold, words: MessageCatalogue) -> list[str]:
    return [
        f"  {threshold.name}: {words.text(f'threshold.{threshold.key}')}",
        f"      default {threshold_default(threshold)}, allowed {threshold.allowed}",
        f"      {threshold.meaning}",
    ]
