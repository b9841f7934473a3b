"""How many statements a batch of findings is: each is waited for, so they bound what incidents can take in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from app.wiring.rule_facts import finding_facts
from contracts.findings import Finding, Phase
from incidents.intake.intake import FindingBatch, Intake, take_batches
from incidents.store.schema import counters, incident_changes, incidents
from incidents.store.store import Store
from tests.incidents.builders import T0, ManualClock, make_directory, make_finding, make_store, still

pytestmark = pytest.mark.usefixtures("on_both")
BATCH = 20


def _opening(number: int) -> Finding:
    return make_finding(key=f"door-{number}")


def _joining(number: int) -> Finding:
    return make_finding(key=f"door-{number}", onset_ms=T0 + 1000, evidence=(still(f"{number:064x}"),))


def _update(number: int) -> Finding:
    return make_finding(key=f"door-{number}", nth=1, phase=Phase.UPDATE)


def _close(number: int) -> Finding:
    return make_finding(key=f"door-{number}", nth=1, phase=Phase.CLOSE)


@contextmanager
def _counted() -> Iterator[list[str]]:
    said: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def _intake(store: Store, source: str = "engine") -> Intake:
    return Intake(store, make_directory("s1"), finding_facts(), ["hook"], clock_ms=ManualClock(), source=source)


@pytest.mark.parametrize(
    ("make", "opened_before", "each"),
    [(_opening, False, 3), (_joining, True, 0), (_opening, True, 0), (_update, True, 0), (_close, True, 0)],
)
def test_a_batch_takes_a_fixed_number_of_statements_and_a_few_per_opened_incident(
    tmp_path: Path, make: Callable[[int], Finding], opened_before: bool, each: int
) -> None:
    intake = _intake(make_store(tmp_path))
    before = [make_finding(key="before"), *(_opening(n) for n in range(BATCH) if opened_before)]
    intake.take(list(enumerate(before, start=1)))
    batch = list(enumerate((make(n) for n in range(BATCH)), start=BATCH + 2))
    with _counted() as said:
        intake.take(batch)
    assert len(said) <= each * BATCH + 20, said


def test_what_many_sources_gave_is_asked_and_written_together(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    given = [
        (_intake(store, f"p{n}"), FindingBatch([(5, make_finding(key=f"door-{n}", onset_ms=T0 + n))]))
        for n in range(BATCH)
    ]
    with _counted() as said, store.write() as connection:
        taken = take_batches(connection, given)
    assert len(said) <= 3 * BATCH + 15, said
    assert [(len(one.opened), one.new) for one in taken] == [(1, 1)] * BATCH
    with store.read() as connection:
        ordinals = connection.execute(select(incidents.c.ordinal).order_by(incidents.c.onset_ms)).scalars().all()
        seqs = connection.execute(select(incident_changes.c.seq).order_by(incident_changes.c.seq)).scalars().all()
        held = {row.name: row.value for row in connection.execute(select(counters))}
    assert ordinals == seqs == list(range(1, BATCH + 1))
    assert {held[f"intake/p{n}"] for n in range(BATCH)} == {5}
    assert (held["incidents"], held["incident_changes"], held["deliveries"]) == (BATCH, BATCH, BATCH)
