"""Any batching, any redelivery, any crash between batches and any order within episodes give the same incidents."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, select

from app.wiring.rule_facts import finding_facts
from contracts.findings import Finding, Phase, Severity
from contracts.incidents import AlertAction, AlertState
from incidents.alerts.actions import Actions, Command
from incidents.intake.intake import Intake
from incidents.store.schema import (
    alarms,
    counters,
    day_numbers,
    deliveries,
    episodes,
    evidence,
    incident_actions,
    incident_changes,
    incident_evidence,
    incidents,
)
from incidents.store.schema import findings as findings_
from incidents.store.store import Store
from tests.incidents.builders import T0, ManualClock, make_directory, make_finding, make_store, still
from tests.support.folders import fast_folder

_SEVERITIES = st.sampled_from(list(Severity))
_RELATIVE = {"ordinal", "number", "opened_ms", "changed_ms", "fold_group", "version"}
"""What depends on the order in which different subjects came; within one subject the order is always kept."""


@st.composite
def _episode(draw: st.DrawFn, subject: int, number: int) -> list[Finding]:
    """An OPEN, some updates, perhaps a CLOSE or a RETRACT, of one subject; each later than the one before."""
    onset_ms = T0 + number * draw(st.sampled_from([60_000, 130_000, 700_000]))
    base: dict[str, Any] = {"key": f"door-{subject}", "onset_ms": onset_ms}
    found = [make_finding(**base, severity=draw(_SEVERITIES), verified=draw(st.booleans()))]
    for nth in range(1, draw(st.integers(1, 4))):
        found.append(make_finding(**base, nth=nth, phase=Phase.UPDATE, severity=draw(_SEVERITIES)))
    end = draw(st.sampled_from([None, Phase.CLOSE, Phase.RETRACT]))
    if end is not None:
        found.append(make_finding(**base, nth=len(found), phase=end, severity=found[0].severity))
    return found


@st.composite
def _lives(draw: st.DrawFn) -> list[list[list[Finding]]]:
    """Subjects → their episodes in order → findings."""
    return [
        [draw(_episode(subject, number)) for number in range(draw(st.integers(1, 3)))]
        for subject in range(draw(st.integers(1, 3)))
    ]


@st.composite
def _delivered(draw: st.DrawFn, lives: list[list[list[Finding]]]) -> list[Finding]:
    """The findings as a reader may get them: subjects interleaved, an episode's own shuffled, some repeated."""
    queues = [[f for episode in life for f in draw(st.permutations(episode))] for life in lives]
    found: list[Finding] = []
    while any(queues):
        queue = draw(st.sampled_from([q for q in queues if q]))
        found.append(queue.pop(0))
        if draw(st.integers(0, 3)) == 0:
            found.append(draw(st.sampled_from(found)))
    return found


def _cut(findings: Sequence[Finding], sizes: Sequence[int]) -> list[list[tuple[int, Finding]]]:
    numbered, batches = list(enumerate(findings, start=1)), []
    for size in (*sizes, len(numbered)):
        batches.append(numbered[:size])
        numbered = numbered[size:]
    return batches


def _outcome(store: Store) -> dict[str, Any]:
    with store.read() as connection:
        rows = connection.execute(select(incidents)).mappings().all()
        told = connection.execute(select(deliveries.c.delivery_id, deliveries.c.kind)).all()
        kept = connection.execute(select(episodes).order_by(episodes.c.open_id)).mappings().all()
    return {
        "incidents": {r["incident_id"]: {k: v for k, v in r.items() if k not in _RELATIVE} for r in rows},
        "opened": sorted(key for key, kind in told if kind == "opened"),
        "episodes": [dict(row) for row in kept],
    }


def _run(batches: Sequence[Sequence[tuple[int, Finding]]], *, restart: bool) -> dict[str, Any]:
    clock, directory = ManualClock(), make_directory("s1")
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder))
        for batch in batches:
            if restart:
                store.close()
                store = make_store(Path(folder))
            Intake(store, directory, finding_facts(), ["hook"], clock_ms=clock).take(batch)
            clock.advance(1000)
        outcome = _outcome(store)
        store.close()
    return outcome


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_batching_redelivery_and_restarts_change_nothing(data: st.DataObject) -> None:
    lives = data.draw(_lives())
    clean = [finding for life in lives for episode in life for finding in episode]
    sizes = data.draw(st.lists(st.integers(0, 5), max_size=8))
    repeated = [f for finding in clean for f in [finding] * data.draw(st.integers(1, 2))]
    again = [*_cut(repeated, sizes), _cut(clean, [])[0]]  # and the whole log once more, as after a lost cursor
    assert _run(again, restart=True) == _run(_cut(clean, []), restart=False)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_subjects_may_interleave_and_findings_of_an_episode_may_come_in_any_order(data: st.DataObject) -> None:
    lives = data.draw(_lives())
    single = [life[:1] for life in lives]  # an episode's last activity decides about the next, so here one each
    clean = [finding for life in single for episode in life for finding in episode]
    mixed = data.draw(_delivered(single))
    sizes = data.draw(st.lists(st.integers(0, 5), max_size=8))
    assert _run(_cut(mixed, sizes), restart=False) == _run(_cut(clean, []), restart=False)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_one_at_a_time_or_together_every_row_is_the_same(data: st.DataObject) -> None:
    lives = data.draw(_lives())
    mixed = data.draw(_delivered(lives))
    shown = [msgspec.structs.replace(f, evidence=data.draw(_STILLS)) for f in dict.fromkeys(mixed)]
    before = data.draw(st.integers(0, len(shown)))
    sizes = data.draw(st.lists(st.integers(0, 6), max_size=6))
    assert _rows(shown, before, sizes) == _rows(shown, before, [1] * len(shown))


_STILLS = st.lists(st.sampled_from([still("a" * 64), still("b" * 64), still("b" * 64, kind="clip")]), max_size=2).map(
    tuple
)
_ROWS = (
    findings_,
    episodes,
    incidents,
    incident_actions,
    incident_changes,
    deliveries,
    evidence,
    incident_evidence,
    counters,
    day_numbers,
    alarms,
)


def _rows(findings: Sequence[Finding], before: int, sizes: Sequence[int]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, after people closed what the first ``before`` findings opened and the rest came in these sizes."""
    clock = ManualClock()
    with fast_folder() as folder:
        store = make_store(folder)
        intake = Intake(store, make_directory("s1"), finding_facts(), ["hook", "police"], clock_ms=clock)
        for n, finding in enumerate(findings[:before], start=1):
            intake.take([(n, finding)])
        _close_all(store, clock)
        clock.advance(1000)
        rest = _cut(findings[before:], sizes)
        for batch in rest:
            intake.take([(before + n, finding) for n, finding in batch])
        with store.read() as connection:
            tables = {table.name: _all(connection, table) for table in _ROWS}
        store.close()
    return tables


def _all(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]


def _close_all(store: Store, clock: ManualClock) -> None:
    with store.read() as connection:
        live = connection.execute(select(incidents.c.incident_id, incidents.c.version, incidents.c.state)).all()
    actions = Actions(store, (), clock_ms=clock)
    for row in live:
        if row.state == AlertState.NEW:
            actions.act("wang", Command(incident_id=row.incident_id, action=AlertAction.HANDLE, version=row.version))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_a_crash_inside_a_batch_leaves_no_trace_of_it(data: st.DataObject) -> None:
    lives = data.draw(_lives())
    clean = [finding for life in lives for episode in life for finding in episode]
    at = data.draw(st.integers(0, len(clean) - 1))
    torn: list[Any] = [*clean[:at], msgspec.structs.replace(clean[at], nth=None)]
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder))
        intake = Intake(store, make_directory("s1"), finding_facts(), ["hook"], clock_ms=ManualClock())
        try:
            intake.take(list(enumerate(torn, start=1)))
        except (msgspec.ValidationError, Exception):  # noqa: BLE001 - the crash may be any
            assert intake.cursor() == 0
        else:
            raise AssertionError("the torn batch was taken")
        intake.take(list(enumerate(clean, start=1)))
        outcome = _outcome(store)
        store.close()
    assert outcome == _run(_cut(clean, []), restart=False)
