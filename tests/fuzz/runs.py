"""One run: its seed decides what happened, how it was carried, who judged it, and so what must have been found."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec

from tests.fuzz.carriage import after_the_first, arrived, logs
from tests.fuzz.drivers import Judge, district, one_machine
from tests.fuzz.history import HAPPENINGS, WEEK_MS, history, moved
from tests.fuzz.oracle import at_its_time, clean, differences, first_of_each, undisturbed, without_marks

JUDGES: dict[str, Judge] = {"one machine": one_machine, "district": district}


class Plan(msgspec.Struct, frozen=True):
    """What one run combines."""

    seed: int
    happenings: tuple[str, ...]
    judge: str
    partitions: int
    neighbour: bool
    shift_ms: int
    retried: bool

    def __str__(self) -> str:
        """Return it in a line."""
        said = [f"run {self.seed}", self.judge, f"{self.partitions} partitions", *self.happenings]
        said += ["a neighbour"] if self.neighbour else []
        said += ["a week later"] if self.shift_ms else []
        return ", ".join(said + (["appends retried"] if self.retried else []))


class RunResult(msgspec.Struct, frozen=True):
    """How a run went. ``wrong``: what was not as it must be."""

    plan: Plan
    findings: int
    wrong: list[str]


def plan_of(seed: int) -> Plan:
    """Return what the run of this seed combines."""
    rng = random.Random(f"plan {seed}")
    judge = rng.choice(sorted(JUDGES))
    return Plan(
        seed=seed,
        happenings=tuple(rng.sample(sorted(HAPPENINGS), rng.choice((0, 1, 2, 2, 3, 4)))),
        judge=judge,
        partitions=rng.choice((1, 2, 3, 5)) if judge == "district" else 1,
        neighbour=rng.random() < 0.3,
        shift_ms=WEEK_MS if rng.random() < 0.3 else 0,
        retried=rng.random() < 0.3,
    )


def run(plan: Plan, judges: Mapping[str, Judge] = JUDGES) -> RunResult:
    """Judge what the plan says, and compare with the clean run. ``judges``: who are meant by the plan's names."""
    rng = random.Random(f"run {plan.seed}")
    lived = history(rng, plan.happenings, neighbour=plan.neighbour)
    once = {site_id: arrived(rng, events) for site_id, events in lived.sites.items()}
    came = {site_id: [*events, *after_the_first(events, lived.doubles[site_id])] for site_id, events in once.items()}
    written = logs(rng, came, plan.partitions, retried=plan.retried)
    expected = clean(once) if lived.orderly else undisturbed(written)
    kept, alarms = judges[plan.judge](rng, [[moved(record, plan.shift_ms) for record in log] for log in written])
    found, contradictions = first_of_each(kept)
    if plan.shift_ms:
        found, expected = without_marks(at_its_time(found, plan.shift_ms)), without_marks(expected)
    wrong = differences(found, expected) + contradictions + alarms
    return RunResult(plan, len(found), wrong)
