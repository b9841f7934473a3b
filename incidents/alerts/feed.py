"""Reading incidents for people: filters, a stable cursor, and the head of the changes that a live feed goes on from."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, Select, false, select, true
from sqlalchemy.sql import ColumnElement

from contracts.findings import Finding, Severity
from contracts.incidents import AlertState
from identity.roles import Scope
from incidents.store.changes import head
from incidents.store.records import Incident, get_incident, incident_of
from incidents.store.schema import findings, incidents

MAX_PAGE = 200


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader asks for. ``from_ms``/``to_ms`` are about the onset; ``min_severity`` includes what is above."""

    sites: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    states: tuple[AlertState, ...] = ()
    severities: tuple[Severity, ...] = ()
    min_severity: Severity = Severity.INFO
    from_ms: int | None = None
    to_ms: int | None = None
    text: str = ""


class Page(msgspec.Struct, frozen=True):
    """Incidents, newest opened first. ``seq``: a stream from here on misses nothing. ``cursor`` None: no more."""

    incidents: list[Incident]
    cursor: int | None
    seq: int


def read_page(connection: Connection, scope: Scope, filters: Filters, *, before: int | None, limit: int) -> Page:
    """One page of what ``scope`` may see, opened before the incident with ordinal ``before``."""
    limit = max(1, min(limit, MAX_PAGE))
    query: Select[*tuple[object, ...]] = select(incidents).where(*_conditions(scope, filters))
    if before is not None:
        query = query.where(incidents.c.ordinal < before)
    rows = connection.execute(query.order_by(incidents.c.ordinal.desc()).limit(limit + 1)).mappings().all()
    found = [incident_of(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(found, found[-1].ordinal if more else None, head(connection))


def read_incident(connection: Connection, scope: Scope, incident_id: str) -> Incident | None:
    """One incident, or None when it does not exist or is out of scope."""
    incident = get_incident(connection, incident_id)
    return incident if incident is not None and incident.site_id in scope else None


def read_findings(connection: Connection, incident_id: str) -> list[Finding]:
    """The findings applied to an incident, in the order in which they were decided."""
    query = select(findings.c.content, findings.c.verified).where(findings.c.incident_id == incident_id)
    rows = connection.execute(query.where(findings.c.applied.is_(True))).all()
    found = [
        msgspec.structs.replace(msgspec.json.decode(row.content, type=Finding), verified=row.verified) for row in rows
    ]
    return sorted(found, key=lambda finding: (finding.decided_ms, finding.open_id, finding.nth))


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """The condition that an incident's site is in ``scope``."""
    if scope.every:
        return incidents.c.site_id.not_in(scope.named) if scope.named else true()
    return incidents.c.site_id.in_(scope.named) if scope.named else false()


def _conditions(scope: Scope, filters: Filters) -> list[ColumnElement[bool]]:
    table = incidents.c
    conditions = [in_scope(scope), table.severity_rank >= filters.min_severity.rank]
    lists: tuple[tuple[ColumnElement[object], tuple[object, ...]], ...] = (
        (table.site_id, filters.sites),
        (table.scenario, filters.scenarios),
        (table.state, tuple(state.value for state in filters.states)),
        (table.severity_rank, tuple(severity.rank for severity in filters.severities)),
    )
    conditions += [column.in_(wanted) for column, wanted in lists if wanted]
    if filters.from_ms is not None:
        conditions.append(table.onset_ms >= filters.from_ms)
    if filters.to_ms is not None:
        conditions.append(table.onset_ms < filters.to_ms)
    for word in filters.text.casefold().split():
        conditions.append(table.search.contains(word, autoescape=True) | table.number.contains(word, autoescape=True))
    return conditions
