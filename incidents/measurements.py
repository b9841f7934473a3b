"""What results are told of incidents: changes in order, findings taken in, attempts; by cursors of the reader's own."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, select, tuple_

from contracts.durations import HOUR_MS
from contracts.findings import Finding
from contracts.incident_measurements import DeliveryAttempted, FindingTaken, IncidentChanged
from contracts.incidents import AlertState
from incidents.store.changes import Change, can_resume, changes_after
from incidents.store.records import ChangeKind
from incidents.store.schema import (
    attempts,
    deliveries,
    findings,
    incident_actions,
    incident_changes,
    incidents,
    schema_version,
)

SETTLED_MS = 30_000
"""An attempt that ended so long ago can be read: its end is the time at which its row is being written."""

LONGEST_MS = 6 * HOUR_MS
"""From an attempt's beginning to its row: it waits in its process while the database is away."""

_TAKING = {ChangeKind.OPENED, ChangeKind.EXTENDED, ChangeKind.UPDATED, ChangeKind.WITHDRAWN}


class ChangeBatch(msgspec.Struct, frozen=True):
    """A stretch of changes. ``cursor`` is where the next one begins, ``missed`` how many were gone before."""

    cursor: int
    missed: int = 0
    changes: list[IncidentChanged] = []
    taken: list[FindingTaken] = []


def identity_of(connection: Connection) -> str:
    """Return what tells this database from another: when it was made. Its numbers mean nothing in another one."""
    return str(connection.execute(select(func.min(schema_version.c.applied_ms))).scalar() or 0)


def change_batch_after(connection: Connection, seq: int | None, limit: int) -> ChangeBatch:
    """Return up to ``limit`` changes after ``seq``; None begins with the oldest that is held."""
    missed = 0
    if seq is None or not can_resume(connection, seq):
        oldest = connection.execute(select(func.min(incident_changes.c.seq))).scalar()
        start = int(oldest) - 1 if oldest is not None else 0
        missed, seq = (max(0, start - seq) if seq is not None else 0), start
    found = changes_after(connection, seq, limit)
    if not found:
        return ChangeBatch(seq, missed)
    rows = _incidents(connection, found)
    taken = _taken(connection, found)
    severities = _severities(connection, found)
    states = _states(connection, found)
    changes = [_changed(change, rows[change.incident_id], severities, states) for change in found]
    return ChangeBatch(found[-1].seq, missed, changes, taken)


def attempts_after(
    connection: Connection, ended_ms: int, now_ms: int, limit: int
) -> tuple[int, list[DeliveryAttempted]]:
    """Return about ``limit`` attempts ended after ``ended_ms``, settled by ``now_ms``; and the time up to which."""
    end = attempts.c.at_ms + attempts.c.took_ms
    within = (end > ended_ms) & (end <= now_ms - SETTLED_MS) & (attempts.c.at_ms > ended_ms - LONGEST_MS)
    last = select(end).where(within).order_by(end).limit(1)
    upto = connection.execute(last.offset(limit - 1)).scalar()  # all of one millisecond together, or some are lost
    if upto is None:
        upto = connection.execute(select(func.max(end)).where(within)).scalar()
    if upto is None:
        return ended_ms, []
    query = (
        select(attempts, deliveries, incidents.c.origin)
        .join(deliveries, deliveries.c.delivery_id == attempts.c.delivery_id)
        .join(incidents, incidents.c.incident_id == deliveries.c.incident_id)
        .where(within, end <= upto)
        .order_by(end, attempts.c.delivery_id, attempts.c.nth)
    )
    return int(upto), [
        DeliveryAttempted(
            delivery_id=row.delivery_id,
            nth=row.nth,
            site_id=row.site_id,
            receiver=row.receiver,
            news=row.kind,
            outcome=row.outcome,
            origin=row.origin,
            created_ms=row.created_ms,
            at_ms=row.at_ms,
            took_ms=row.took_ms,
        )
        for row in connection.execute(query)
    ]


class _Opening(msgspec.Struct, frozen=True):
    rule: str
    origin: str
    opened_ms: int


def _incidents(connection: Connection, found: list[Change]) -> dict[str, _Opening]:
    table = incidents.c
    query = select(table.incident_id, table.scenario, table.origin, table.opened_ms)
    rows = connection.execute(query.where(table.incident_id.in_({c.incident_id for c in found})))
    return {row.incident_id: _Opening(row.scenario, row.origin, row.opened_ms) for row in rows}


def _taken(connection: Connection, found: list[Change]) -> list[FindingTaken]:
    """Return the findings that made these changes. Several changes may name one: its id tells."""
    pairs = {(change.incident_id, change.at_ms) for change in found if change.kind in _TAKING}
    table = findings.c
    query = select(table.finding_id, table.site_id, table.due_ms, table.taken_ms)
    rows = connection.execute(query.where(tuple_(table.incident_id, table.taken_ms).in_(pairs)))
    taken = [
        FindingTaken(finding_id=row.finding_id, site_id=row.site_id, due_ms=row.due_ms, taken_ms=row.taken_ms)
        for row in rows
    ]
    return sorted(taken, key=lambda t: (t.taken_ms, t.finding_id))


def _severities(connection: Connection, found: list[Change]) -> dict[str, str]:
    """Return incident → the severity of the finding that opened it: its own may have risen; a point is forever."""
    table = findings.c
    query = select(table.incident_id, table.content).where(table.nth == 0, table.applied.is_(True))
    rows = connection.execute(query.where(table.incident_id.in_({change.incident_id for change in found})))
    first: dict[str, Finding] = {}
    for row in rows:
        finding = msgspec.json.decode(row.content, type=Finding)
        known = first.get(row.incident_id)
        if known is None or (finding.onset_ms, finding.finding_id) < (known.onset_ms, known.finding_id):
            first[row.incident_id] = finding
    return {incident_id: finding.severity.value for incident_id, finding in first.items()}


def _states(connection: Connection, found: list[Change]) -> dict[tuple[str, int], str]:
    """Return (incident, time) → the state that a person's action, or a withdrawal, led to."""
    pairs = {(c.incident_id, c.at_ms) for c in found if c.kind in {ChangeKind.ACTED, ChangeKind.WITHDRAWN}}
    table = incident_actions.c
    query = select(table.incident_id, table.at_ms, table.to_state).order_by(table.incident_id, table.version)
    rows = connection.execute(query.where(tuple_(table.incident_id, table.at_ms).in_(pairs)))
    return {(row.incident_id, row.at_ms): row.to_state for row in rows}


def _changed(
    change: Change, opening: _Opening, severities: dict[str, str], states: dict[tuple[str, int], str]
) -> IncidentChanged:
    state = states.get((change.incident_id, change.at_ms), "")
    return IncidentChanged(
        seq=change.seq,
        site_id=change.site_id,
        rule=opening.rule,
        severity=severities.get(change.incident_id, ""),
        origin=opening.origin,
        change=change.kind.value,
        state=AlertState.NEW.value if change.kind is ChangeKind.OPENED else state,
        opened_ms=opening.opened_ms,
        at_ms=change.at_ms,
    )
