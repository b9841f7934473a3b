"""A store whose incidents are told to one receiver."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlalchemy import select

from app.wiring.rule_facts import finding_facts
from contracts.findings import Finding
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver
from incidents.alerts.actions import Actions
from incidents.intake.intake import Intake
from incidents.store.operator_alarms import standing_alarms
from incidents.store.schema import attempts, deliveries
from incidents.store.store import Store
from tests.incidents.builders import ManualClock, make_directory, make_store


class Post:
    """Store, intake, outbox and actions, by a clock that only moves when told."""

    def __init__(self, folder: Path, receiver: Receiver, **profile: object) -> None:
        self.store: Store = make_store(folder)
        self.clock = ManualClock()
        settings = msgspec.convert({"name": receiver.name, **profile}, ReceiverProfile)
        self.outbox = Outbox(self.store, receiver, settings, clock_ms=self.clock, jitter=lambda: 1.0)
        self.intake = Intake(self.store, make_directory(), finding_facts(), [receiver.name], clock_ms=self.clock)
        self.actions = Actions(self.store, (receiver.name,), clock_ms=self.clock)

    def take(self, *findings: Finding) -> list[str]:
        return self.intake.take(list(enumerate(findings, start=1))).opened

    def drain(self) -> int:
        """Work until nothing is due; on how many rows."""
        worked = 0
        while more := self.outbox.step():
            worked += more
        return worked

    def states(self) -> list[tuple[str, str, str]]:
        with self.store.read() as connection:
            rows = connection.execute(select(deliveries).order_by(deliveries.c.ordinal)).all()
        return [(row.kind, row.state, row.reason) for row in rows]

    def attempts(self) -> list[tuple[int, str, str]]:
        with self.store.read() as connection:
            rows = connection.execute(select(attempts).order_by(attempts.c.at_ms, attempts.c.nth)).all()
        return [(row.nth, row.outcome, row.detail) for row in rows]

    def due_in_ms(self) -> int:
        with self.store.read() as connection:
            due_ms = connection.execute(select(deliveries.c.due_ms)).scalar_one()
        return int(due_ms) - self.clock.now_ms

    def alarms(self) -> list[str]:
        with self.store.read() as connection:
            return [alarm.code.value for alarm in standing_alarms(connection)]
