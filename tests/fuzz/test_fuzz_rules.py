"""A sample of the random runs that ``make fuzz-rules`` makes by the thousand; a failure names its run."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from contracts.contradictions import contradiction_of
from contracts.findings import Finding, finding_id
from detectors.registry import all_rules
from tests.detectors.builders import T0
from tests.fuzz import oracle
from tests.fuzz.drivers import on_kafka
from tests.fuzz.history import HAPPENINGS, WEEK_MS, history, moved
from tests.fuzz.oracle import at_its_time, clean, differences, without_marks
from tests.fuzz.runs import JUDGES, plan_of, run
from tests.incidents.builders import make_finding
from tests.support.kafka import RunningKafka

SEED = 41_000_000
FEW, SAMPLE, ON_KAFKA = 10, 150, 4


@pytest.mark.parametrize("n", range(FEW))
def test_whatever_happens_the_findings_are_the_clean_runs(n: int) -> None:
    result = run(plan_of(SEED + n))
    assert result.wrong == [], f"{result.plan}; again: python -m tests.fuzz --only {result.plan.seed}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ten", range(FEW, SAMPLE, 10))
def test_a_sample_of_the_random_runs_finds_what_the_clean_run_finds(ten: int) -> None:
    for n in range(ten, ten + 10):
        result = run(plan_of(SEED + n))
        assert result.wrong == [], f"{result.plan}; again: python -m tests.fuzz --only {result.plan.seed}"


@pytest.mark.service
@pytest.mark.patient
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("n", range(ON_KAFKA))
def test_runs_on_a_real_kafka_find_what_the_clean_run_finds(kafka: RunningKafka, n: int) -> None:
    plan = msgspec.structs.replace(plan_of(SEED + n), judge="district", partitions=n + 1)
    result = run(plan, {"district": on_kafka(kafka.url)})
    assert result.wrong == [], str(plan)
    assert result.findings > 0


def test_the_sample_combines_everything_that_can_happen() -> None:
    plans = [plan_of(SEED + n) for n in range(SAMPLE)]
    counts = Counter(name for plan in plans for name in (*plan.happenings, plan.judge))
    assert set(counts) == {*HAPPENINGS, *JUDGES}
    assert min(counts.values()) >= 20
    assert {plan.partitions for plan in plans} == {1, 2, 3, 5}
    assert all(any(getattr(plan, name) for plan in plans) for name in ("neighbour", "shift_ms", "retried"))


def test_every_rule_finds_something_in_the_sample() -> None:
    """A run in which a rule is silent proves nothing of it."""
    found: Counter[str] = Counter()
    for plan in map(plan_of, range(SEED, SEED + FEW)):
        lived = history(random.Random(f"run {plan.seed}"), plan.happenings, neighbour=False)
        found.update(finding.rule for finding in clean(lived.sites).values())
    assert set(found) == {rule.name for rule in all_rules()}


def test_the_oracle_names_what_is_missing_too_much_changed_or_contradicts() -> None:
    one, other = make_finding(), make_finding(key="door-2")
    known = {finding.finding_id: finding for finding in (one, other)}
    changed = {one.finding_id: msgspec.structs.replace(one, facts=())}
    (missing, too_much) = differences({one.finding_id: one}, known), differences(known, {one.finding_id: one})
    assert [text.split(":")[0] for text in missing + too_much + differences(changed, {one.finding_id: one})] == [
        "missing",
        "too much",
        "another content",
    ]
    _, contradictions = oracle.first_of_each([one, other, changed[one.finding_id]])
    assert contradictions == [getattr(contradiction_of(one, changed[one.finding_id]), "detail", None)]


def test_a_history_of_a_week_later_is_told_at_its_time() -> None:
    one = make_finding(onset_ms=T0)
    later = moved(one, WEEK_MS)
    assert later.onset_ms == T0 + WEEK_MS
    assert at_its_time({later.finding_id: later}, WEEK_MS) == {one.finding_id: one}


def test_an_event_told_apart_has_another_mark_a_week_later_and_is_the_same() -> None:
    one, other = (_of_event(name) for name in ("storm-1~0000beef", "storm-1"))
    later = {name: _of_event("storm-1~12345678") for name in ("x",)} | {other.finding_id: other}
    now = {one.finding_id: one, other.finding_id: other}
    assert differences(later, now) != []
    assert differences(without_marks(later), without_marks(now)) == []
    assert differences(without_marks({other.finding_id: other}), without_marks(now)) != []


def _of_event(event_id: str) -> Finding:
    """A finding that begins with this event."""
    own = finding_id("s1", "stranger_entry", "door-1", T0, event_id, 0)
    return msgspec.structs.replace(make_finding(), finding_id=own, open_id=own, onset_event_id=event_id)
