"""Incidents and deliveries of a district against what its findings should have come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from app.settings.settings import Settings
from app.wiring.results import open_results
from app.wiring.rule_facts import finding_facts
from contracts.events import ConfigurationRecord
from contracts.findings import Finding
from contracts.incidents import DeliveryState
from delivery.receivers.webhook.stand_in import StandIn
from incidents.intake.intake import Intake
from incidents.store.schema import deliveries, findings, incidents
from incidents.store.store import Store
from inventory.directory import MemoryDirectory
from streams.results.query import Results, TimeRange
from tests.support.folders import fast_folder

_COMPARED = (
    incidents.c.incident_id,
    incidents.c.site_id,
    incidents.c.scenario,
    incidents.c.subject_kind,
    incidents.c.subject_ref,
    incidents.c.place_id,
    incidents.c.state,
    incidents.c.severity_rank,
    incidents.c.verified,
    incidents.c.ongoing,
    incidents.c.onset_ms,
    incidents.c.last_ms,
    incidents.c.recurs_of,
)
"""What the clock of whoever took the findings plays no part in."""
Rows = dict[str, tuple[Any, ...]]
MONTH_MS = 30 * 86_400_000
"""Clocks are put elsewhere by less."""


class Told(msgspec.Struct, frozen=True):
    """How incidents and what receivers heard differ from what is right; all but the first two must be 0."""

    incidents: int
    deliveries: int
    lost: int
    wrong: int
    untold: int
    told_twice: int
    unexplained: int
    refused: int

    def none(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.wrong or self.untold or self.told_twice or self.unexplained or self.refused)


def expected_incidents(found: Iterable[Finding], records: Sequence[ConfigurationRecord]) -> Rows:
    """The incidents that findings, in order of each partition, come to in one undisturbed process."""
    with fast_folder() as folder:
        store = Store(f"sqlite:///{folder / 'incidents.db'}")
        try:
            Intake(store, MemoryDirectory(records), finding_facts()).take(list(enumerate(found, 1)))
            return _incidents(store)
        finally:
            store.close()


def taken(store: Store) -> int:
    """How many findings have been taken in."""
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(findings)).scalar_one())


def pending(store: Store) -> int:
    """How many deliveries wait."""
    waiting = select(func.count()).select_from(deliveries).where(deliveries.c.state == DeliveryState.PENDING.value)
    with store.read() as connection:
        return int(connection.execute(waiting).scalar_one())


def check_told(store: Store, expected: Rows, receiver: StandIn) -> Told:
    """Compare what lies in ``store`` and what ``receiver`` accepted with what is right."""
    found = _incidents(store)
    with store.read() as connection:
        states = {
            str(row.delivery_id): str(row.state)
            for row in connection.execute(select(deliveries.c.delivery_id, deliveries.c.state))
        }
    settled = {key for key, state in states.items() if state == DeliveryState.DELIVERED.value}
    accepted = set(receiver.accepted)
    return Told(
        incidents=len(found),
        deliveries=len(states),
        lost=len(expected.keys() - found.keys()),
        wrong=sum(expected.get(key) != row for key, row in found.items()),
        untold=len(found.keys() - receiver.told_incidents()),
        told_twice=receiver.told_twice(),
        unexplained=len(accepted ^ settled),
        refused=sum(receiver.refused.values()),
    )


class Kept(msgspec.Struct, frozen=True):
    """What the store of results counts, and what it should."""

    openings: int
    incidents: int


def kept_in_results(settings: Settings, since_ms: int) -> Kept:
    """Return what InfluxDB has of openings and incidents; nothing while it is away or empty.

    Raises:
        LinliError: it does not answer.
    """
    store = open_results(settings)
    try:
        results, span = Results(store), TimeRange(since_ms - MONTH_MS, since_ms + MONTH_MS)
        openings, opened = results.findings_per_hour(span), results.incidents_per_hour(span)
    finally:
        store.close()
    return Kept(sum(count.count for count in openings), sum(count.count for count in opened))


def _incidents(store: Store) -> Rows:
    with store.read() as connection:
        return {str(row[0]): tuple(row) for row in connection.execute(select(*_COMPARED))}
