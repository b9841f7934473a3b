"""Each rule through the real engine: its findings are a function of what happened and of nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.batch import Batch
from contracts.events import EVENT_TYPES, AnyEvent, ConfigurationRecord, Event
from contracts.findings import Finding, Output, Phase
from detectors.core.facts import FACT_UNITS
from detectors.core.rule import Rule
from detectors.registry import all_rules
from streams.engine.engine import Engine
from tests.detectors.builders import HOUR, T0
from tests.detectors.harness import assert_words_are_known
from tests.detectors.lives import SPAN_MS, life

RULES = {rule.name: rule for rule in all_rules()}
FEW = settings(
    max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
SEEDS = st.integers(0, 2**32)
END_MS = T0 + SPAN_MS + 30 * HOUR
EACH = pytest.mark.parametrize("name", RULES)


def engine_of(*rules: Rule[Any]) -> Engine:
    return Engine(rules, partition=0, partitions=1, log_id="log1")


def arrived(events: Sequence[Event], rng: random.Random, jitter_ms: int) -> list[Event]:
    """The events with ``received_ms`` up to ``jitter_ms`` after they happened, in order of arrival.

    Configuration has no journey: its time is when the writer appended it.
    """
    late = [
        event
        if isinstance(event, ConfigurationRecord)
        else msgspec.structs.replace(event, received_ms=event.at_ms + rng.randint(0, jitter_ms))
        for event in events
    ]
    return sorted(late, key=lambda event: event.received_ms)


def cut(events: Sequence[Event], rng: random.Random, *, most: int = 40) -> list[Batch]:
    """``events``, by arrival, as batches of any size, each with a watermark that its writer may give."""
    log, start = [], 0
    while start < len(events):
        end = min(len(events), start + rng.randint(1, most))
        after_ms = events[end].received_ms if end < len(events) else events[-1].received_ms + 1
        watermark_ms = 0 if rng.random() < 0.2 else after_ms - 1
        log.append(
            Batch(partition=0, watermark_ms=watermark_ms, events=cast("tuple[AnyEvent, ...]", tuple(events[start:end])))
        )
        start = end
    return [*log, Batch(partition=0, watermark_ms=END_MS)]


def feed(engine: Engine, log: Sequence[Batch]) -> list[Output]:
    return [output for record in log for output in engine.feed(record, engine.next_position)]


def bare(outputs: Sequence[Output]) -> list[Output]:
    """As runs are compared: without what depends on how the log was cut and when its events arrived."""
    return [
        msgspec.structs.replace(o, position=0, number=0, **({"due_ms": 0} if isinstance(o, Finding) else {}))
        for o in outputs
    ]


def clean(rule: Rule[Any], events: Sequence[Event]) -> list[Output]:
    """Everything in order and at once."""
    return feed(engine_of(rule), cut(events, random.Random(0), most=len(events)))


@EACH
def test_a_life_has_findings_of_every_rule_and_none_fails(name: str) -> None:
    found = [output for seed in range(3) for output in clean(RULES[name], life(seed))]
    by_rule = {output.rule for output in found if isinstance(output, Finding)}
    assert by_rule == {name}, f"tests/detectors/lives.py: nothing in a life that {name!r} finds"
    assert not [output for output in found if not isinstance(output, Finding)]


@pytest.mark.slow
@EACH
@FEW
@given(seed=SEEDS)
def test_any_batching_and_jitter_below_the_bound_give_the_same_findings(name: str, seed: int) -> None:
    rng, rule, events = random.Random(seed), RULES[name], life(seed)
    late = arrived(events, rng, max(0, rule.max_out_of_orderness_ms - 1))
    # a rule about receipt goes by when it was, to the millisecond
    right = clean(rule, sorted(late, key=lambda event: event.at_ms) if rule.receipt else events)
    assert bare(feed(engine_of(rule), cut(late, rng))) == bare(right)


@pytest.mark.slow
@EACH
@FEW
@given(seed=SEEDS)
def test_a_restart_anywhere_goes_on_as_if_nothing_had_happened(name: str, seed: int) -> None:
    rng, rule, events = random.Random(seed), RULES[name], life(seed)
    log = cut(events, rng)
    expected = feed(engine_of(rule), log)
    engine, decided = engine_of(rule), list[Output]()
    for position, record in enumerate(log):
        decided += engine.feed(record, position)
        if rng.random() < 0.15:
            rows = [engine.snapshot(site_id) for site_id in engine.site_ids()]
            manifest = engine.manifest()
            engine = engine_of(rule)
            assert engine.restore(rows, manifest) == position + 1
    assert decided == expected


@pytest.mark.slow
@EACH
@FEW
@given(seed=SEEDS)
def test_redelivery_changes_nothing(name: str, seed: int) -> None:
    rng, rule = random.Random(seed), RULES[name]
    events = life(seed)
    again = sorted([*events, *rng.sample(events, 60)], key=lambda event: event.at_ms)
    assert bare(feed(engine_of(rule), cut(again, rng))) == bare(clean(rule, events))


@pytest.mark.slow
@EACH
@FEW
@given(seed=SEEDS)
def test_a_site_is_judged_as_if_it_were_alone(name: str, seed: int) -> None:
    rule = RULES[name]
    sites = {site_id: life(seed + number, site_id) for number, site_id in enumerate(("s1", "s2"))}
    both = sorted((event for events in sites.values() for event in events), key=lambda event: event.at_ms)
    together = feed(engine_of(rule), cut(both, random.Random(seed)))
    for site_id, events in sites.items():
        alone = [output for output in bare(together) if output.site_id == site_id]
        assert alone == bare(clean(rule, events))


def garbage(rng: random.Random, event: Event) -> Event:
    """``event`` with some fields taken from the ends of what the wire allows."""
    odd: dict[str, Any] = {
        "place_id": rng.choice(("x" * 40, "door1", "room1", "nowhere")),
        "source_id": rng.choice(("gate1", "meter1", "cam1", "y" * 40, event.source_id)),
        "event_id": f"{event.event_id}{'é' * rng.choice((0, 30))}",
    }
    for field, values in _ODD_VALUES.items():
        if hasattr(event, field) and rng.random() < 0.4:
            odd[field] = rng.choice(values)
    return msgspec.structs.replace(event, **odd)


_ODD_VALUES: dict[str, tuple[Any, ...]] = {
    "power_w": (-1e6, 0.0, 1e6, 1e-300),
    "power_factor": (None, -1.0, 0.0, 1.0, 1e-12),
    "voltage_v": (None, 0.0, 1_000.0),
    "current_a": (None, 0.0, 10_000.0),
    "temperature_c": (None, -80.0, 1_500.0),
    "smoke_pct_m": (None, 0.0, 100.0),
    "score": (0.0, 1.0),
    "track_id": (0, 2**53),
    "dwell_ms": (0, 31_622_400_000),
    "drop_m": (None, 0.0, 1_000.0),
    "reason": (None, "ü" * 80),
    "registration_id": (None, "r" * 80, "v1"),
    "model": (None, "m" * 80),
}


@pytest.mark.slow
@EACH
@FEW
@given(seed=SEEDS)
def test_garbage_within_the_wires_bounds_never_breaks_a_rule(name: str, seed: int) -> None:
    rng = random.Random(seed)
    events = sorted((garbage(rng, event) if rng.random() < 0.5 else event for event in life(seed)), key=_at_ms)
    found = [output for output in feed(engine_of(RULES[name]), cut(events, rng)) if isinstance(output, Finding)]
    assert [(f.rule, [fact.value for fact in f.facts]) for f in found if f.rule != name] == []


def _at_ms(event: Event) -> int:
    return event.at_ms


@EACH
@pytest.mark.parametrize("seed", range(4))
def test_findings_are_well_formed_and_every_fact_is_in_the_table(name: str, seed: int) -> None:
    episodes: dict[str, list[Finding]] = {}
    for finding in clean(RULES[name], life(seed)):
        assert isinstance(finding, Finding)
        episodes.setdefault(finding.open_id, []).append(finding)
        for fact in finding.facts:
            assert fact.unit == FACT_UNITS[fact.code]
            assert fact.code in RULES[name].facts.fact_codes, f"fact_codes in the facts of {name!r} lack {fact.code!r}"
        assert_words_are_known(finding.facts)
    for episode in episodes.values():
        phases = [finding.phase for finding in episode]
        assert phases[0] is Phase.OPEN
        assert Phase.OPEN not in phases[1:]
        assert Phase.CLOSE not in phases[:-1]
        assert [finding.nth for finding in episode] == list(range(len(episode)))


def test_the_registry_is_sorted_and_complete() -> None:
    names = [rule.name for rule in all_rules()]
    assert names == sorted(set(names)), "detectors/registry.py: not in order of names"
    for rule in all_rules():
        assert set(rule.accepts) <= set(EVENT_TYPES.values())
        assert (rule.__doc__ or "").strip()
