"""What people do: every pair of the table, versions, who was first, and the trail it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DatabaseError

from app.wiring.rule_facts import finding_facts
from contracts.errors import Rejected
from contracts.incidents import ALERT_TABLE, AlertAction, AlertState, FalseAlarmReason, NotAllowed
from governance import audit
from incidents.alerts.actions import HUMAN_ACTIONS, Actions, Command, UnknownIncident, VersionConflict
from incidents.intake.intake import Intake
from incidents.store.changes import changes_after
from incidents.store.history import history_of
from incidents.store.records import Incident, get_incident
from incidents.store.schema import audit_log, deliveries, incidents
from incidents.store.store import Store
from tests.incidents.builders import ManualClock, make_directory, make_finding, make_store

pytestmark = pytest.mark.usefixtures("on_both")


class Bench:
    """One incident, put into any state, and people who act on it."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = make_store(folder)
        self.clock = ManualClock()
        taken = Intake(self.store, make_directory(), finding_facts(), ["hook"], clock_ms=self.clock).take(
            [(1, make_finding())]
        )
        self.incident_id = taken.opened[0]
        self.actions = Actions(self.store, ("hook",), clock_ms=self.clock)

    def put(self, state: AlertState) -> None:
        with self.store.write() as connection:
            connection.execute(update(incidents).values(state=state.value))

    def now(self) -> Incident:
        with self.store.read() as connection:
            incident = get_incident(connection, self.incident_id)
        assert incident is not None
        return incident

    def command(self, action: AlertAction, version: int = 1, comment: str = "") -> Command:
        reason = FalseAlarmReason.PERMITTED if action is AlertAction.MARK_FALSE else None
        return Command(incident_id=self.incident_id, action=action, version=version, reason=reason, comment=comment)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("action", HUMAN_ACTIONS)
@pytest.mark.parametrize("state", list(AlertState))
def test_every_pair_does_what_the_table_says(bench: Bench, state: AlertState, action: AlertAction) -> None:
    bench.put(state)
    target = ALERT_TABLE.get((state, action))
    if target is None:
        before = bench.now()
        with pytest.raises(NotAllowed):
            bench.actions.act("wang", bench.command(action))
        assert bench.now() == before
        return
    after = bench.actions.act("wang", bench.command(action))
    assert (after.state, after.version) == (target, 2)
    assert bench.now() == after


def test_retract_is_not_for_people(bench: Bench) -> None:
    with pytest.raises(NotAllowed):
        bench.actions.act("wang", bench.command(AlertAction.RETRACT))
    assert bench.now().state is AlertState.NEW


def test_an_action_leaves_history_audit_change_and_news(bench: Bench) -> None:
    bench.clock.advance(5000)
    after = bench.actions.act("wang", bench.command(AlertAction.MARK_FALSE, comment="业主搬家"))
    with bench.store.read() as connection:
        (step,) = history_of(connection, bench.incident_id)
        (entry, _hash) = audit.entries(connection)[0]
        kinds = [change.kind.value for change in changes_after(connection, 0, 10)]
        news = connection.execute(select(deliveries.c.kind).order_by(deliveries.c.ordinal)).scalars().all()
    assert (step.actor, step.reason, step.comment, step.version) == ("wang", "permitted", "业主搬家", 2)
    assert (step.from_state, step.to_state, step.at_ms) == ("new", "false_alarm", after.changed_ms)
    assert (entry.actor, entry.action, entry.subject) == ("wang", "incident.mark_false", bench.incident_id)
    assert kinds == ["opened", "acted"]
    assert news == ["opened", "corrected"]


def test_who_comes_second_is_told_who_was_first(bench: Bench) -> None:
    bench.actions.act("wang", bench.command(AlertAction.SEE))
    with pytest.raises(VersionConflict) as caught:
        bench.actions.act("li", bench.command(AlertAction.HANDLE))
    assert caught.value.first is not None
    assert (caught.value.first.actor, caught.value.first.action) == ("wang", "see")
    assert (caught.value.incident.state, caught.value.incident.version) == (AlertState.SEEN, 2)
    assert bench.now().state is AlertState.SEEN


def test_the_same_command_again_changes_nothing(bench: Bench) -> None:
    command = bench.command(AlertAction.HANDLE, comment="done")
    first = bench.actions.act("wang", command)
    assert bench.actions.act("wang", command) == first
    with bench.store.read() as connection:
        assert len(history_of(connection, bench.incident_id)) == 1
        assert len(audit.entries(connection)) == 1


def test_the_same_command_by_somebody_else_is_a_conflict(bench: Bench) -> None:
    bench.actions.act("wang", bench.command(AlertAction.HANDLE))
    with pytest.raises(VersionConflict):
        bench.actions.act("li", bench.command(AlertAction.HANDLE))


@pytest.mark.parametrize(
    ("action", "reason", "comment"),
    [
        (AlertAction.MARK_FALSE, None, ""),
        (AlertAction.HANDLE, FalseAlarmReason.PERMITTED, ""),
        (AlertAction.HANDLE, None, "x" * 2001),
    ],
)
def test_an_incomplete_command_is_refused(
    bench: Bench, action: AlertAction, reason: FalseAlarmReason | None, comment: str
) -> None:
    command = Command(incident_id=bench.incident_id, action=action, version=1, reason=reason, comment=comment)
    with pytest.raises(Rejected):
        bench.actions.act("wang", command)
    assert bench.now().version == 1


def test_an_unknown_incident_is_unknown(bench: Bench) -> None:
    with pytest.raises(UnknownIncident):
        bench.actions.act("wang", Command(incident_id="none", action=AlertAction.SEE, version=1))


def test_the_audit_log_refuses_changes_and_shows_tampering(bench: Bench) -> None:
    for version, action in enumerate((AlertAction.SEE, AlertAction.HANDLE), start=1):
        bench.actions.act("wang", bench.command(action, version))
    for statement in ("UPDATE audit_log SET actor = 'li'", "DELETE FROM audit_log"):
        with pytest.raises(DatabaseError, match="append-only"), bench.store.write() as connection:
            connection.exec_driver_sql(statement)
    with bench.store.write() as connection:
        assert audit.first_broken(connection) is None
        _let_it_change(connection)
        connection.execute(update(audit_log).where(audit_log.c.seq == 1).values(actor="li"))
        assert audit.first_broken(connection) == 1


def test_a_missing_tail_of_the_audit_log_is_seen(bench: Bench) -> None:
    for version, action in enumerate((AlertAction.SEE, AlertAction.HANDLE), start=1):
        bench.actions.act("wang", bench.command(action, version))
    with bench.store.write() as connection:
        _let_it_change(connection)
        connection.exec_driver_sql("DELETE FROM audit_log WHERE seq = 2")
        assert audit.first_broken(connection) == 2


def _let_it_change(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP TRIGGER audit_log_append_only ON audit_log")
    else:
        connection.exec_driver_sql("DROP TRIGGER audit_log_no_update")
        connection.exec_driver_sql("DROP TRIGGER audit_log_no_delete")
