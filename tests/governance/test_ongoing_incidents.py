"""A situation that goes on outlives the retention of its incident, and its end always finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from app.wiring.rule_facts import finding_facts
from contracts.durations import DAY_MS
from contracts.findings import Finding, Phase
from contracts.incidents import AlertAction
from governance.holds import add_hold
from governance.retention import IncidentRetention
from incidents.alerts.actions import Actions, Command
from incidents.intake.intake import Intake
from incidents.monitor.stuck_work_monitor import StuckWorkMonitor
from incidents.store.operator_alarms import standing_alarms
from incidents.store.schema import findings, incidents
from incidents.store.store import Store
from tests.incidents.builders import T0, ManualClock, make_directory, make_finding, make_store

pytestmark = pytest.mark.usefixtures("on_both")
DAYS = 90


class _Office:
    """Incidents of one site, with a clock of their own."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, ManualClock(T0)
        self.intake = Intake(store, make_directory("s1"), finding_facts(), [], clock_ms=self.clock)
        self._n = 0

    def take(self, *given: Finding) -> list[str]:
        numbered = [(self._n + n, finding) for n, finding in enumerate(given, 1)]
        self._n += len(given)
        return list(self.intake.take(numbered).opened)

    def handle(self, incident_id: str) -> None:
        command = Command(incident_id=incident_id, action=AlertAction.HANDLE, version=1)
        Actions(self.store, (), clock_ms=self.clock).act("op", command)

    def later(self, days: int) -> None:
        self.clock.advance(days * DAY_MS)
        IncidentRetention(self.store, days=DAYS)(self.clock())
        StuckWorkMonitor(self.store, clock_ms=self.clock).step()

    def kept(self) -> list[tuple[str, bool]]:
        with self.store.read() as connection:
            rows = connection.execute(select(incidents.c.incident_id, incidents.c.ongoing))
            return [(str(row.incident_id), bool(row.ongoing)) for row in rows]

    def waiting(self) -> list[str]:
        with self.store.read() as connection:
            assert {alarm.code.value for alarm in standing_alarms(connection)} <= {"finding_waits"}
            return list(connection.execute(select(findings.c.finding_id).where(~findings.c.applied)).scalars())


@pytest.fixture
def office(tmp_path: Path) -> Iterator[_Office]:
    with closing(make_store(tmp_path)) as store:
        yield _Office(store)


@pytest.mark.parametrize("rule", ["device_silent", "smoke_or_heat", "indoor_ebike_charging"])
def test_a_closed_incident_whose_situation_goes_on_waits_for_its_end(office: _Office, rule: str) -> None:
    (incident_id,) = office.take(make_finding(rule=rule))
    office.handle(incident_id)
    office.later(4 * DAYS)
    assert office.kept() == [(incident_id, True)]
    office.take(make_finding(rule=rule, nth=1, phase=Phase.UPDATE), make_finding(rule=rule, nth=2, phase=Phase.CLOSE))
    assert office.kept() == [(incident_id, False)]
    office.later(1)
    assert (office.kept(), office.waiting()) == ([(incident_id, False)], [])
    office.later(DAYS)
    assert (office.kept(), office.waiting()) == ([], [])


def test_an_end_whose_incident_is_gone_waits_no_longer_than_incidents_are_kept(office: _Office) -> None:
    office.take(make_finding(rule="device_silent", nth=1, phase=Phase.CLOSE))
    office.later(1)
    (waiting,) = office.waiting()
    office.later(DAYS - 1)
    assert office.waiting() == [waiting]
    office.later(1)
    assert office.waiting() == []
    with office.store.read() as connection:
        assert standing_alarms(connection) == []


def test_an_end_that_waits_stays_while_its_site_is_held(office: _Office) -> None:
    office.take(make_finding(rule="device_silent", nth=1, phase=Phase.CLOSE))
    with office.store.write() as connection:
        add_hold(connection, "s1", None, "file 12/2027", "op", 1)
    office.later(2 * DAYS)
    assert len(office.waiting()) == 1
