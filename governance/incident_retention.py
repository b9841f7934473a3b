"""What incidents keep and for how long: closed incidents go as a whole, their counts stay; sessions and alarms end.

Numbers of incidents are never used again (``day_numbers`` stays). What a hold covers stays as it is.
"""

from __future__ import annotations

import datetime

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from contracts.durations import DAY_MS
from contracts.incidents import FINAL_ALERT_STATES
from governance import audit
from governance.holds import held_now
from incidents.store.records import Incident, incident_of
from incidents.store.schema import (
    alarms,
    attempts,
    deliveries,
    episodes,
    findings,
    incident_actions,
    incident_changes,
    incident_evidence,
    incident_totals,
    incidents,
    sessions,
)

ALARMS_KEPT_MS = 90 * DAY_MS
AT_ONCE = 200
"""Incidents deleted in one transaction: others want to write too."""

_FINAL = tuple(state.value for state in FINAL_ALERT_STATES)
_OF_INCIDENT = (episodes, incident_actions, incident_changes, deliveries, incident_evidence, findings, incidents)


class DeletedCounts(msgspec.Struct, frozen=True):
    """Counts of the rows that one turn deleted."""

    incidents: int = 0
    findings: int = 0
    sessions: int = 0
    alarms: int = 0


def delete_closed_incidents(connection: Connection, before_ms: int, now_ms: int) -> DeletedCounts:
    """Delete incidents that were closed and have not changed since ``before_ms``, at most 200; an audit entry says so.

    One whose situation goes on stays until its rule says that it has ended: the end would find nothing to end. A
    recurring incident names its predecessor by id; that the predecessor is gone changes nothing in it.
    """
    doomed = _closed_before(connection, before_ms)
    if not doomed:
        return DeletedCounts()
    ids = [incident.incident_id for incident in doomed]
    for incident in doomed:
        _count(connection, incident)
    told = select(deliveries.c.delivery_id).where(deliveries.c.incident_id.in_(ids))
    connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(told)))
    gone = 0
    for table in _OF_INCIDENT:
        rows = connection.execute(delete(table).where(table.c.incident_id.in_(ids))).rowcount
        gone = rows if table is findings else gone
    left = connection.execute(select(incidents.c.incident_id).where(incidents.c.incident_id.in_(ids))).first()
    detail = {"incidents": len(ids), "findings": gone, "before_ms": before_ms, "verified": left is None}
    audit.record(connection, "linli", "retention.incidents", "incidents", detail, now_ms)
    return DeletedCounts(incidents=len(ids), findings=gone)


def delete_waiting_findings(connection: Connection, before_ms: int, now_ms: int) -> int:
    """Delete findings that have waited since ``before_ms`` for one that will not come any more; how many.

    Their incident is gone, or they were told of by a source that is. A held site keeps its own.
    """
    held = held_now(connection)
    waiting = findings.c.applied.is_(False) & (findings.c.taken_ms < before_ms)
    gone = connection.execute(delete(findings).where(waiting, findings.c.site_id.not_in(held.sites))).rowcount
    if gone:
        audit.record(connection, "linli", "retention.findings", "findings", {"waiting": gone}, now_ms)
    return gone


def delete_expired(connection: Connection, now_ms: int) -> DeletedCounts:
    """Delete sessions that have expired and alarms that were cleared long ago."""
    ended = connection.execute(delete(sessions).where(sessions.c.expires_ms < now_ms)).rowcount
    cleared = connection.execute(delete(alarms).where(alarms.c.cleared_ms < now_ms - ALARMS_KEPT_MS)).rowcount
    return DeletedCounts(sessions=ended, alarms=cleared)


def totals(connection: Connection, site_id: str) -> dict[tuple[str, str, str], int]:
    """Return (month, scenario, state) → how many incidents were deleted."""
    rows = connection.execute(select(incident_totals).where(incident_totals.c.site_id == site_id))
    found: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.month, row.scenario, row.state)
        found[key] = found.get(key, 0) + row.incidents
    return found


def _closed_before(connection: Connection, before_ms: int) -> list[Incident]:
    held = held_now(connection)
    table = incidents.c
    over = table.state.in_(_FINAL) & table.ongoing.is_(False)
    query = select(incidents).where(over, table.changed_ms < before_ms)
    query = query.where(table.site_id.not_in(held.sites), table.incident_id.not_in(held.incidents))
    rows = connection.execute(query.order_by(table.ordinal).limit(AT_ONCE)).mappings()
    return [incident_of(row) for row in rows]


def _count(connection: Connection, incident: Incident) -> None:
    opened = datetime.datetime.fromtimestamp(incident.opened_ms / 1000, tz=datetime.UTC)
    key: dict[str, object] = {
        "site_id": incident.site_id,
        "month": f"{opened:%Y%m}",
        "scenario": incident.scenario,
        "state": incident.state.value,
        "severity_rank": incident.severity_rank,
    }
    where = [incident_totals.c[name] == value for name, value in key.items()]
    more = {"incidents": incident_totals.c.incidents + 1}
    if not connection.execute(update(incident_totals).where(*where).values(more)).rowcount:
        connection.execute(insert(incident_totals).values(**key, incidents=1))
