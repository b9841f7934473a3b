"""Hand-offs by cursor: whatever dies between taking and remembering, everything is handed over, and once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, select

from app.wiring.rule_facts import finding_facts
from contracts.findings import Finding, Phase
from incidents.intake import relays
from incidents.intake.intake import Intake
from incidents.intake.relays import TAKE_FINDINGS, FindingsRelay, SharedRelays
from incidents.store.leases import UncontestedLeases
from incidents.store.schema import deliveries, episodes, findings, incident_changes, incidents
from incidents.store.store import Store
from streams.checkpoints.sqlite import SqliteCheckpointStore
from tests.incidents.builders import T0, ManualClock, make_directory, make_finding, make_store
from tests.support.folders import fast_folder

WRITTEN = (findings, incidents, episodes, deliveries, incident_changes)


class Died(BaseException):
    """The process dies here."""


class Dying:
    """A store whose next transactions end as planned: ``ok``, torn before they are committed, or dead right after."""

    def __init__(self, store: Store, plan: list[str]) -> None:
        self._store, self._plan = store, plan
        self.bell = store.commit_signal

    @contextmanager
    def write(self) -> Iterator[Connection]:
        fate = self._plan.pop(0) if self._plan else "ok"
        with self._store.write() as connection:
            yield connection
            if fate == "torn":
                raise Died
        if fate == "after":
            raise Died

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._store.read() as connection:
            yield connection


def _life(number: int) -> list[Finding]:
    """One door's episode: opened, then more of it."""
    base: dict[str, Any] = {"key": f"door-{number % 3}", "onset_ms": T0 + number * 700_000}
    return [make_finding(**base), make_finding(**base, nth=1, phase=Phase.UPDATE)]


def _written(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.read() as connection:
        return {table.name: _rows(connection, table) for table in WRITTEN}


def _rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()]


def _relay(engine_store: SqliteCheckpointStore, store: Any) -> FindingsRelay:
    intake = Intake(store, make_directory("s1"), finding_facts(), ["hook"], clock_ms=ManualClock())
    return FindingsRelay(engine_store, intake)


def _hand_over(folder: Path, lives: Sequence[Sequence[Finding]], fates: Sequence[str]) -> dict[str, Any]:
    """Everything that incidents hold after each life was handed over, the process dying as planned."""
    engine_store, store, plan = SqliteCheckpointStore(folder / "engine.db"), make_store(folder), list(fates)
    relay = _relay(engine_store, Dying(store, plan))
    try:
        for life in lives:
            engine_store.append_findings(life)
            while True:
                try:
                    if not relay.step():
                        break
                except Died:
                    relay = _relay(engine_store, Dying(store, plan))
        return _written(store)
    finally:
        store.close()
        engine_store.close()


@pytest.fixture(scope="module")
def clean() -> dict[str, Any]:
    with fast_folder() as folder:
        return _hand_over(folder, [_life(n) for n in range(6)], [])


@settings(max_examples=25, deadline=None)
@given(fates=st.lists(st.sampled_from(["ok", "torn", "after"]), max_size=12))
def test_a_process_that_dies_around_its_cursors_write_hands_everything_over_once(
    fates: list[str], clean: dict[str, Any]
) -> None:
    with fast_folder() as folder:
        assert _hand_over(folder, [_life(n) for n in range(6)], fates) == clean
    assert len(clean["findings"]) == 12
    assert len(clean["incidents"]) == 6


def test_a_step_takes_a_bound_and_the_end_of_a_run_takes_the_rest() -> None:
    with fast_folder() as folder:
        engine_store, store = SqliteCheckpointStore(folder / "engine.db"), make_store(folder)
        engine_store.append_findings([make_finding(key=f"door-{n}") for n in range(TAKE_FINDINGS + 3)])
        relay = _relay(engine_store, store)
        assert [relay.step(), relay.step(), relay.step()] == [TAKE_FINDINGS, 3, 0]
        engine_store.append_findings([make_finding(key=f"late-{n}") for n in range(3)])
        stop = threading.Event()
        stop.set()
        relay.run(stop)
        assert len(_written(store)["findings"]) == TAKE_FINDINGS + 6
        store.close()
        engine_store.close()


def test_findings_are_taken_when_the_relay_is_woken() -> None:
    stop = threading.Event()
    with fast_folder() as folder:
        engine_store, store = SqliteCheckpointStore(folder / "engine.db"), make_store(folder)
        relay, taken = _relay(engine_store, store), threading.Event()
        store.commit_signal.subscribe(taken.set)
        thread = threading.Thread(target=relay.run, args=(stop,))
        thread.start()
        engine_store.append_findings([make_finding()])
        relay.wake()
        assert taken.wait(60)
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
        assert len(_written(store)["incidents"]) == 1
        store.close()
        engine_store.close()


def test_shared_relays_batch_what_comes_within_their_pace_and_rest_only_when_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relays, "STEP_S", 3600.0)
    stop, paused, steps = threading.Event(), threading.Event(), list[int]()
    with fast_folder() as folder:
        engine_store, store = SqliteCheckpointStore(folder / "engine.db"), make_store(folder)
        engine_store.append_findings([make_finding(key=f"door-{n}") for n in range(TAKE_FINDINGS + 3)])
        shared = SharedRelays({"engine": _relay(engine_store, store)}, UncontestedLeases(), store)

        def counted() -> int:
            steps.append(taken := SharedRelays.step(shared))
            if taken < TAKE_FINDINGS:
                paused.set()
            return taken

        monkeypatch.setattr(shared, "step", counted)
        thread = threading.Thread(target=shared.run, args=(stop,))
        thread.start()
        assert paused.wait(60)
        engine_store.append_findings([make_finding(key="late")])
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
        assert steps == [TAKE_FINDINGS, 3]
        assert (shared.step(), len(_written(store)["findings"])) == (1, TAKE_FINDINGS + 4)
        store.close()
        engine_store.close()
