"""Several receivers at once: each has its own rows, its own outbox, its own alarms, and waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from app.wiring.incident_figures import IncidentFigures
from app.wiring.rule_facts import finding_facts
from contracts.errors import Transient
from delivery.deliveries import Delivery
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receipt, Receiver
from delivery.recording_receiver import RecordingReceiver
from incidents.intake.intake import Intake
from incidents.monitor.stuck_work_monitor import StuckWorkMonitor
from incidents.store.operator_alarms import standing_alarms
from incidents.store.schema import deliveries
from incidents.store.store import Store
from tests.incidents.builders import ManualClock, make_directory, make_finding, make_store

pytestmark = pytest.mark.usefixtures("on_both")

NAMES = ["grid", "police"]


class District:
    """A store whose incidents are told to all of :data:`NAMES`."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = make_store(folder)
        self.clock = ManualClock()
        intake = Intake(self.store, make_directory(), finding_facts(), NAMES, clock_ms=self.clock)
        findings = [make_finding(), make_finding(key="door-2", verified=False)]
        self.incidents = intake.take(list(enumerate(findings, start=1))).opened

    def outbox(self, receiver: Receiver, **profile: object) -> Outbox:
        settings = msgspec.convert({"name": receiver.name, **profile}, ReceiverProfile)
        return Outbox(self.store, receiver, settings, clock_ms=self.clock, jitter=lambda: 1.0)

    def states(self) -> dict[str, list[str]]:
        with self.store.read() as connection:
            rows = connection.execute(select(deliveries).order_by(deliveries.c.ordinal)).all()
        return {name: [row.state for row in rows if row.receiver == name] for name in NAMES}

    def alarms(self) -> list[tuple[str, str]]:
        with self.store.read() as connection:
            return [(alarm.code.value, alarm.subject) for alarm in standing_alarms(connection)]


@pytest.fixture
def district(tmp_path: Path) -> Iterator[District]:
    made = District(tmp_path)
    yield made
    made.store.close()


def test_each_is_told_under_a_key_of_its_own_and_as_its_profile_says(district: District) -> None:
    grid, police = RecordingReceiver("grid"), RecordingReceiver("police")
    assert district.outbox(grid, unverified=True).step() == 2
    assert district.outbox(police).step() == 2
    assert district.states() == {"grid": ["delivered"] * 2, "police": ["delivered", "muted"]}
    keys = [delivery.delivery_id for delivery in (*grid.got, *police.got)]
    assert len(set(keys)) == 3
    assert {delivery.incident_id for delivery in grid.got} == set(district.incidents)


def test_one_that_is_down_does_not_keep_the_other_from_being_told(district: District) -> None:
    down, police = RecordingReceiver("grid", [Transient("down")] * 50), RecordingReceiver("police")
    outboxes = [district.outbox(down), district.outbox(police)]
    for _ in range(4):
        for outbox in outboxes:
            outbox.step()
        district.clock.advance(60_000)
    assert district.states() == {"grid": ["pending", "muted"], "police": ["delivered", "muted"]}
    assert (len(down.got), len(police.got)) == (4, 1)
    assert district.alarms() == [("receiver_failing", "grid")]


def test_one_that_hangs_holds_only_its_own_thread(district: District) -> None:
    stop, hangs, police = threading.Event(), Hanging("grid"), RecordingReceiver("police")
    threads = [threading.Thread(target=district.outbox(one).run, args=(stop, 0.01)) for one in (hangs, police)]
    for thread in threads:
        thread.start()
    try:
        assert hangs.began.wait(30)
        while not police.got:
            assert not stop.wait(0.01)
    finally:
        stop.set()
        threads[1].join(30)
        hangs.goes_on.set()
        threads[0].join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert district.states()["police"] == ["delivered", "muted"]


def test_what_waits_is_counted_for_each_by_its_name(district: District) -> None:
    district.outbox(RecordingReceiver("police")).step()
    families = {family.name: family for family in IncidentFigures(district.store).collect()}
    pending = families["linli_deliveries_pending"].samples
    assert [(sample.labels, sample.value) for sample in pending] == [({"receiver": "grid"}, 2)]


def test_the_alarms_of_one_say_nothing_of_the_other(district: District) -> None:
    district.outbox(RecordingReceiver("police")).step()
    district.clock.advance(61_000)
    StuckWorkMonitor(district.store, NAMES, clock_ms=district.clock).step()
    assert [alarm for alarm in district.alarms() if "delivery" in alarm[0]] == [("delivery_overdue", "grid")]


class Hanging(RecordingReceiver):
    """Does not come back until it is let go."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.began, self.goes_on = threading.Event(), threading.Event()

    def send(self, delivery: Delivery) -> Receipt:
        self.began.set()
        assert self.goes_on.wait(60)
        return super().send(delivery)
