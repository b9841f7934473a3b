"""Incidents and deliveries as points: read by cursors, each once, and the same whenever they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.wiring.results import AttemptsSource, IncidentsSource, operator_alarm
from app.wiring.rule_facts import finding_facts
from contracts.errors import Transient
from contracts.findings import Finding, Phase, Severity
from contracts.incidents import AlertAction
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.recording_receiver import RecordingReceiver
from incidents.alerts.actions import Actions, Command
from incidents.intake.intake import Intake
from incidents.measurements import SETTLED_MS, attempts_after
from incidents.store.changes import prune
from incidents.store.operator_alarms import standing_alarms
from incidents.store.store import Store
from streams.results.collector import PointCollector, PointSource
from streams.results.points import Point
from streams.results.sender import ResultsAlarm
from streams.results.spool import PointSpool
from tests.incidents.builders import T0, ManualClock, make_directory, make_finding, make_store
from tests.support.folders import fast_folder

pytestmark = pytest.mark.usefixtures("on_both")


class World:
    """Incidents that are told to one receiver, and a spool that follows them."""

    def __init__(self, folder: Path, *answers: Exception) -> None:
        self.store: Store = make_store(folder)
        self.clock = ManualClock()
        receiver = RecordingReceiver("hook", list(answers))
        self.intake = Intake(self.store, make_directory(), finding_facts(), ["hook"], clock_ms=self.clock)
        self.actions = Actions(self.store, ("hook",), clock_ms=self.clock)
        self.outbox = Outbox(self.store, receiver, ReceiverProfile(name="hook"), clock_ms=self.clock)
        self.spool = PointSpool(folder / "spool.db")
        self._taken = 0

    def take(self, *findings: Finding) -> list[str]:
        numbered = list(enumerate(findings, start=self._taken + 1))
        self._taken += len(findings)
        return self.intake.take(numbered).opened

    def follow(self) -> list[Point]:
        """Everything that is queued once both sources are read to their end."""
        sources: list[PointSource] = [IncidentsSource(self.store), AttemptsSource(self.store, self.clock)]
        collector = PointCollector(self.spool, sources, self.clock, operator_alarm(self.store, self.clock))
        while collector.step():
            pass
        return [p for chunk in self.spool.oldest(10**9) for p in chunk.points]

    def close(self) -> None:
        self.spool.close()
        self.store.close()


@pytest.fixture
def world() -> Iterator[World]:
    with fast_folder() as folder:
        made = World(folder, Transient("down"))
        yield made
        made.close()


def _told(points: list[Point], measurement: str) -> list[dict[str, object]]:
    return [{**dict(p.tags), **p.fields} for p in points if p.measurement == measurement]


def test_an_incident_is_counted_when_it_opens_when_it_grows_and_when_a_person_acts(world: World) -> None:
    world.clock.advance(700)
    (incident_id,) = world.take(make_finding(), make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL))
    world.clock.advance(5_000)
    world.actions.act("wang", Command(incident_id=incident_id, action=AlertAction.SEE, version=2))
    told = _told(world.follow(), "incidents")
    same = {"site": "s1", "rule": "stranger_entry", "severity": "major", "origin": "live", "n": 1}
    assert told == [
        {**same, "change": "opened", "state": "new", "age_ms": 0},
        {**same, "change": "updated", "age_ms": 0},
        {**same, "change": "acted", "state": "seen", "age_ms": 5_000},
    ]


def test_the_hop_from_due_to_incident_is_measured_once_a_finding(world: World) -> None:
    world.clock.advance(900)
    world.take(make_finding(), make_finding(nth=1, phase=Phase.UPDATE))
    hops = _told(world.follow(), "hops")
    assert [(hop["hop"], hop["max_ms"]) for hop in hops] == [("due_to_incident", 700), ("due_to_incident", 0)]


def test_every_attempt_is_a_point_once_it_must_be_settled(world: World) -> None:
    world.take(make_finding())
    assert world.outbox.step()
    world.clock.advance(4_000)
    assert world.outbox.step()
    assert _told(world.follow(), "deliveries") == []
    world.clock.advance(SETTLED_MS)
    points = world.follow()
    same = {"site": "s1", "receiver": "hook", "news": "opened", "origin": "live", "n": 1, "took_ms": 0}
    assert _told(points, "deliveries") == [
        {**same, "outcome": "retry", "nth": 1, "age_ms": 0},
        {**same, "outcome": "delivered", "nth": 2, "age_ms": 4_000},
    ]
    (hop,) = [hop for hop in _told(points, "hops") if hop["hop"] == "incident_to_delivered"]
    assert (hop["n"], hop["max_ms"]) == (1, 4_000)
    assert world.follow() == points


def test_attempts_are_read_in_parts_and_none_is_left_out() -> None:
    with fast_folder() as folder:
        world = World(folder)
        for n, pause_ms in enumerate([0, 0, 0, 1, 0, 2, 0, 0, 3, 0]):
            world.clock.advance(pause_ms)
            world.take(make_finding(key=f"door-{n}"))
            assert world.outbox.step()
        world.clock.advance(SETTLED_MS)
        with world.store.read() as connection:
            for limit in (1, 2, 3, 100):
                after_ms, found = 0, []
                while True:
                    after_ms, part = attempts_after(connection, after_ms, world.clock.now_ms, limit)
                    if not part:
                        break
                    found += part
                assert len(found) == len({attempt.delivery_id for attempt in found}) == 10
        world.close()


def test_changes_that_were_pruned_before_they_were_read_are_declared(world: World) -> None:
    world.take(make_finding())
    world.follow()
    for n in range(3):
        world.clock.advance(1_000)
        world.take(make_finding(key=f"other-{n}"))
    with world.store.write() as connection:
        prune(connection, T0 + 2_500)
    points = world.follow()
    assert _told(points, "losses") == [{"cause": "incident_changes", "n": 2}]
    assert len(_told(points, "incidents")) == 2


def test_alarms_of_results_stand_until_they_end(world: World) -> None:
    tell = operator_alarm(world.store, world.clock)
    tell(ResultsAlarm.AWAY, "no answer")
    tell(ResultsAlarm.DROPPED, "5 points")
    tell(ResultsAlarm.AWAY, "")
    with world.store.read() as connection:
        assert [alarm.code.value for alarm in standing_alarms(connection)] == ["results_dropped"]


def test_a_database_that_is_away_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> object:
        raise Transient("the database is away")

    world.take(make_finding())
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "read", away)
        assert world.follow() == []
    assert len(_told(world.follow(), "incidents")) == 1
