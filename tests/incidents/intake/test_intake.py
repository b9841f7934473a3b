"""Findings become incidents: identity, grouping, order, corrections, numbers, and what is written with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from app.wiring.rule_facts import finding_facts
from contracts.events import Origin
from contracts.findings import Finding, Phase, Severity
from contracts.incidents import AlertAction, AlertState, FalseAlarmReason, incident_id
from contracts.rules import REGROUP_DEFAULT_MS
from evidence.store import evidence_of
from incidents.alerts.actions import Actions, Command
from incidents.intake.intake import Intake, IntakeResult
from incidents.store.changes import changes_after
from incidents.store.history import history_of
from incidents.store.operator_alarms import standing_alarms
from incidents.store.records import EvidenceState, Incident, incident_of
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
from incidents.store.schema import findings as findings_table
from incidents.store.store import Store
from tests.incidents.builders import SHA_A, T0, ManualClock, make_directory, make_finding, make_store, still

pytestmark = pytest.mark.usefixtures("on_both")


class Desk:
    """A store with an intake and people's actions, and short ways to look at the result."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = make_store(folder)
        self.clock = ManualClock()
        self.intake = Intake(self.store, make_directory("s1", "s2"), finding_facts(), ["hook"], clock_ms=self.clock)
        self.actions = Actions(self.store, ("hook",), clock_ms=self.clock)

    def take(self, *findings: Finding) -> IntakeResult:
        return self.intake.take(list(enumerate(findings, start=self.intake.cursor() + 1)))

    def incidents(self) -> list[Incident]:
        with self.store.read() as connection:
            rows = connection.execute(select(incidents).order_by(incidents.c.ordinal)).mappings().all()
        return [incident_of(row) for row in rows]

    def only(self) -> Incident:
        (incident,) = self.incidents()
        return incident

    def kinds(self) -> list[str]:
        with self.store.read() as connection:
            return [change.kind.value for change in changes_after(connection, 0, 1000)]

    def news(self) -> list[tuple[str, str]]:
        with self.store.read() as connection:
            rows = connection.execute(select(deliveries).order_by(deliveries.c.ordinal)).all()
        return [(row.kind, row.state) for row in rows]

    def act(self, action: AlertAction, **changes: Any) -> Incident:
        incident = self.incidents()[-1]
        values: dict[str, Any] = {"incident_id": incident.incident_id, "action": action, "version": incident.version}
        return self.actions.act("wang", Command(**(values | changes)))

    def alarms(self) -> list[str]:
        with self.store.read() as connection:
            return [alarm.code.value for alarm in standing_alarms(connection)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_open_makes_an_incident_with_its_number_delivery_and_change(desk: Desk) -> None:
    finding = make_finding()
    assert desk.take(finding).new == 1
    incident = desk.only()
    assert incident.incident_id == incident_id("s1", "stranger_entry", finding.subject, T0)
    assert incident.number == "20261123-0001"
    assert (incident.building, incident.state, incident.version) == ("b1", AlertState.NEW, 1)
    assert desk.news() == [("opened", "pending")]
    assert desk.kinds() == ["opened"]
    assert desk.intake.cursor() == 1
    assert desk.alarms() == []


def test_a_rule_that_nobody_knows_any_more_keeps_its_findings_own_urgency(desk: Desk) -> None:
    more: dict[str, Any] = {"rule": "gone_rule", "severity": Severity.CRITICAL, "life_safety": True}
    desk.take(make_finding(**more))
    incident = desk.only()
    assert (incident.severity, incident.life_safety, incident.ongoing) == (Severity.CRITICAL, True, True)
    desk.take(make_finding(**more, onset_ms=T0 + REGROUP_DEFAULT_MS))
    assert desk.kinds() == ["opened", "extended"]
    desk.take(make_finding(**more, onset_ms=T0 + 2 * REGROUP_DEFAULT_MS + 1))
    assert len(desk.incidents()) == 2


def test_a_finding_that_is_known_changes_nothing(desk: Desk) -> None:
    finding = make_finding()
    desk.take(finding)
    before = desk.incidents()
    taken = desk.intake.take([(1, finding), (1, finding)])
    assert (taken.new, taken.known) == (0, 2)
    assert desk.incidents() == before
    assert desk.kinds() == ["opened"]
    assert desk.news() == [("opened", "pending")]


def test_one_id_with_two_contents_is_a_loud_alarm_and_the_first_stays(desk: Desk) -> None:
    desk.take(make_finding())
    before = desk.incidents()
    again = make_finding(severity=Severity.CRITICAL, position=7)
    assert desk.take(again).contradicting == 1
    with desk.store.read() as connection:
        (alarm,) = standing_alarms(connection)
    assert (alarm.code, alarm.subject) == ("finding_contradicts", again.finding_id)
    assert "position 0 (rule version 1) and position 7 (rule version 1) differ in severity" in alarm.detail
    assert desk.incidents() == before


def test_what_was_taken_by_a_version_with_more_content_is_known_again(desk: Desk) -> None:
    desk.take(make_finding())
    with desk.store.write() as connection:
        connection.execute(update(findings_table).values(digest="over due time and versions too"))
    taken = desk.take(make_finding(due_ms=T0 + 9, rule_version=2))
    assert (taken.contradicting, taken.known) == (0, 1)


def test_what_was_decided_under_other_numbers_changes_and_contradicts_nothing(desk: Desk) -> None:
    desk.take(make_finding(verified=False, severity=Severity.MAJOR))
    before = desk.incidents()
    taken = desk.take(make_finding(verified=True, severity=Severity.CRITICAL, config_version=9))
    assert (taken.contradicting, taken.known, desk.alarms()) == (0, 1, [])
    assert desk.incidents() == before


def test_position_and_lateness_are_not_content(desk: Desk) -> None:
    desk.take(make_finding())
    assert desk.take(make_finding(position=9, number=2, late_by_ms=500)).known == 1
    assert desk.alarms() == []


def test_a_finding_judged_again_with_the_missing_data_confirms_its_incident(desk: Desk) -> None:
    desk.take(make_finding(verified=False))
    assert not desk.only().verified
    desk.take(make_finding(verified=True))
    assert desk.only().verified
    assert desk.news() == [("opened", "pending"), ("confirmed", "pending")]


@pytest.mark.parametrize(
    ("gap_ms", "count"), [(0, 1), (119_000, 1), (120_000, 1), (120_001, 2), (-120_000, 1), (-120_001, 2)]
)
def test_a_new_episode_joins_within_the_regroup_window_on_either_side(desk: Desk, gap_ms: int, count: int) -> None:
    desk.take(make_finding(), make_finding(onset_ms=T0 + gap_ms, key="door-2", subject=make_finding().subject))
    assert len(desk.incidents()) == count


def test_what_differs_in_site_rule_subject_or_origin_is_its_own_incident(desk: Desk) -> None:
    desk.take(
        make_finding(),
        make_finding(site="s2"),
        make_finding(rule="door_forced"),
        make_finding(key="door-2"),
        make_finding(onset_ms=T0 + 1, origin=Origin.DRILL),
    )
    assert len(desk.incidents()) == 5
    assert all(incident.recurs_of is None for incident in desk.incidents())


def test_a_drill_at_the_same_moment_does_not_become_the_real_incident(desk: Desk) -> None:
    desk.take(make_finding(), make_finding(key="door-1b", subject=make_finding().subject, origin=Origin.DRILL))
    live, drill = desk.incidents()
    assert live.incident_id != drill.incident_id
    assert (live.origin, drill.origin) == ("live", "drill")


def test_after_a_final_state_the_next_episode_opens_a_new_incident_that_recurs(desk: Desk) -> None:
    desk.take(make_finding())
    first = desk.act(AlertAction.HANDLE)
    desk.take(make_finding(onset_ms=T0 + 1000))
    _, second = desk.incidents()
    assert second.recurs_of == first.incident_id
    assert second.number == "20261123-0002"


def test_two_episodes_of_one_moment_around_a_final_state_get_two_ids(desk: Desk) -> None:
    desk.take(make_finding())
    desk.act(AlertAction.HANDLE)
    desk.take(make_finding(key="door-1b", subject=make_finding().subject))
    first, second = desk.incidents()
    assert first.incident_id != second.incident_id
    assert second.recurs_of == first.incident_id


def test_findings_of_an_episode_are_applied_in_order_of_nth(desk: Desk) -> None:
    second = make_finding(nth=2, phase=Phase.CLOSE)
    assert desk.take(second, make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL)).waiting == 2
    assert desk.incidents() == []
    desk.take(make_finding())
    incident = desk.only()
    assert incident.severity is Severity.CRITICAL
    assert not incident.ongoing
    assert incident.last_ms == T0 + 2000
    assert desk.kinds() == ["opened", "updated", "updated"]


def test_a_raised_severity_tells_receivers_and_makes_a_new_version(desk: Desk) -> None:
    desk.take(make_finding(), make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL, life_safety=True))
    incident = desk.only()
    assert (incident.version, incident.life_safety) == (2, True)
    assert [kind for kind, _ in desk.news()] == ["opened", "raised"]
    with desk.store.read() as connection:
        (step,) = history_of(connection, incident.incident_id)
    assert (step.action, step.actor, step.version) == ("raise", "linli", 2)


def test_lower_severity_later_does_not_hide_what_was(desk: Desk) -> None:
    desk.take(make_finding(), make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.INFO))
    assert desk.only().severity is Severity.MAJOR
    assert desk.only().version == 1


def test_what_gets_worse_after_it_was_closed_is_a_new_incident(desk: Desk) -> None:
    desk.take(make_finding(), make_finding(nth=1, phase=Phase.UPDATE))
    desk.act(AlertAction.MARK_FALSE, reason=FalseAlarmReason.PERMITTED)
    desk.take(make_finding(nth=2, phase=Phase.UPDATE, severity=Severity.CRITICAL))
    first, second = desk.incidents()
    assert (first.state, first.ongoing) == (AlertState.FALSE_ALARM, False)
    assert (second.state, second.severity, second.recurs_of) == (AlertState.NEW, Severity.CRITICAL, first.incident_id)
    desk.take(make_finding(nth=3, phase=Phase.CLOSE))
    assert [i.ongoing for i in desk.incidents()] == [False, False]


def test_what_goes_on_after_it_was_closed_stays_closed(desk: Desk) -> None:
    desk.take(make_finding())
    desk.act(AlertAction.HANDLE)
    desk.take(make_finding(nth=1, phase=Phase.UPDATE), make_finding(nth=2, phase=Phase.CLOSE))
    assert desk.only().state is AlertState.HANDLED


def test_a_retracted_incident_is_withdrawn_and_receivers_get_a_correction(desk: Desk) -> None:
    desk.take(make_finding(), make_finding(phase=Phase.RETRACT, nth=1))
    incident = desk.only()
    assert (incident.state, incident.version, incident.ongoing) == (AlertState.WITHDRAWN, 2, False)
    assert [kind for kind, _ in desk.news()] == ["opened", "corrected"]
    assert desk.kinds() == ["opened", "withdrawn"]


def test_one_retracted_episode_of_two_leaves_the_incident(desk: Desk) -> None:
    other = make_finding(key="door-1b", subject=make_finding().subject, onset_ms=T0 + 1000, severity=Severity.MINOR)
    desk.take(make_finding(), other, make_finding(phase=Phase.RETRACT, nth=1))
    incident = desk.only()
    assert incident.state is AlertState.NEW
    assert incident.onset_ms == T0 + 1000
    assert incident.severity is Severity.MINOR


def test_a_retract_after_people_decided_leaves_their_decision(desk: Desk) -> None:
    desk.take(make_finding())
    desk.act(AlertAction.HANDLE)
    desk.take(make_finding(phase=Phase.RETRACT, nth=1))
    assert desk.only().state is AlertState.HANDLED
    assert [kind for kind, _ in desk.news()] == ["opened", "closed"]


def test_numbers_count_per_site_and_day_in_site_time(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    intake = Intake(store, make_directory("s1", time_zone="America/New_York"), finding_facts())
    evening, midnight = T0 + 60_000, 1_795_410_000_000  # 22:33 and 01:20 in New York
    numbered = [(n, make_finding(key=f"k{n}", onset_ms=onset)) for n, onset in enumerate((evening, midnight, evening))]
    intake.take(numbered)
    with store.read() as connection:
        numbers = connection.execute(select(incidents.c.number).order_by(incidents.c.ordinal)).scalars().all()
    assert numbers == ["20261122-0001", "20261123-0001", "20261122-0002"]


def test_evidence_is_named_once_and_pending(desk: Desk) -> None:
    desk.take(make_finding(evidence=(still(),)), make_finding(nth=1, phase=Phase.UPDATE, evidence=(still(),)))
    with desk.store.read() as connection:
        (row,) = evidence_of(connection, desk.only().incident_id)
    assert (row.sha256, row.state, row.kind) == (SHA_A, EvidenceState.PENDING, "still")


def test_more_than_twenty_rows_a_minute_fold_but_never_a_critical_one(desk: Desk) -> None:
    desk.take(*(make_finding(key=f"k{n}") for n in range(22)), make_finding(rule="smoke_or_heat"))
    folded = [incident.fold_group is not None for incident in desk.incidents()]
    assert folded == [False] * 20 + [True] * 2 + [False]
    desk.clock.advance(60_000)
    desk.take(make_finding(key="later"))
    assert desk.incidents()[-1].fold_group is None


def test_a_rule_that_failed_is_an_operator_alarm_too(desk: Desk) -> None:
    desk.take(make_finding(rule="rule_failed"))
    assert desk.alarms() == ["rule_failed"]
    assert len(desk.incidents()) == 1


def test_an_unknown_site_and_place_still_become_an_incident(desk: Desk) -> None:
    desk.take(make_finding(site="nowhere", key="x9"))
    assert desk.only().building is None
    assert re.fullmatch(r"\d{8}-\d{4}", desk.only().number)


def test_nothing_is_kept_of_a_batch_that_fails_half_way(desk: Desk) -> None:
    desk.take(make_finding())
    broken = make_finding(key="door-2", severity="no such severity")
    with pytest.raises(msgspec.ValidationError):
        desk.take(make_finding(key="door-3"), broken)
    assert len(desk.incidents()) == 1
    assert desk.intake.cursor() == 1


def test_what_comes_in_one_batch_is_written_as_if_it_came_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "all").mkdir()
    one, together = Desk(tmp_path / "one"), Desk(tmp_path / "all")
    for number, finding in enumerate(_eventful(), start=1):
        one.intake.take([(number, finding)])
    together.take(*_eventful())
    assert _written(together) == _written(one)
    assert len(one.incidents()) == 5
    assert one.alarms() == ["finding_contradicts"]


def _eventful() -> list[Finding]:
    """Return what may happen within a batch: confirmed, again, too early, contradicting, joined, raised, withdrawn."""
    subject = make_finding().subject
    late: dict[str, Any] = {"key": "door-3", "phase": Phase.UPDATE}
    return [
        make_finding(verified=False, evidence=(still(),)),
        make_finding(verified=False, evidence=(still(),)),
        make_finding(verified=True, evidence=(still(),)),
        make_finding(key="door-1b", subject=subject, onset_ms=T0 + 1000),
        make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL, evidence=(still(),)),
        make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.INFO),
        make_finding(**late, nth=2, verified=False),
        make_finding(**late, nth=2, verified=True),
        make_finding(**late, nth=1),
        make_finding(key="door-3"),
        make_finding(key="door-3", nth=3, phase=Phase.CLOSE),
        make_finding(key="door-4"),
        make_finding(key="door-4", phase=Phase.RETRACT, nth=1),
        make_finding(key="door-4", nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL),
        make_finding(key="door-4", onset_ms=T0 + 5000),
        make_finding(site="s2", key="door-5"),
        make_finding(nth=2, phase=Phase.CLOSE),
        make_finding(key="never", nth=1, phase=Phase.UPDATE),
    ]


def _written(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    tables = (findings_table, episodes, incidents, deliveries, evidence, incident_evidence, incident_actions)
    with desk.store.read() as connection:
        return {
            table.name: [
                dict(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            ]
            for table in (*tables, incident_changes, counters, day_numbers, alarms)
        }


def test_a_place_that_nobody_knows_is_told_as_the_devices_building(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.take(make_finding(place_id="gone", source_id="gate-1"))
    assert desk.only().building == "b1"


def test_evidence_that_follows_a_fall_joins_its_incident(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    fall = make_finding(rule="high_altitude_throw", evidence=())
    desk.take(fall)
    (told,) = desk.incidents()
    desk.take(make_finding(rule="high_altitude_throw", nth=1, phase=Phase.UPDATE, evidence=(still(),)))
    (after,) = desk.incidents()
    assert (after.incident_id, after.state) == (told.incident_id, told.state)
    with desk.store.read() as connection:
        assert [one.sha256 for one in evidence_of(connection, after.incident_id)] == [SHA_A]
        assert standing_alarms(connection) == []
