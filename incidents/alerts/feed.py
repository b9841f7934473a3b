"""Reading incidents for people: filters, a stable cursor, and the head of the changes that a live feed goes on from."""

from __future__ import annotations

import enum

import msgspec
from sqlalchemy import Connection, Select, and_, false, not_, select, true
from sqlalchemy.sql import ColumnElement

from contracts.events import Origin
from contracts.findings import Finding, Severity
from contracts.incidents import FINAL_ALERT_STATES, AlertState
from identity.roles import Scope
from incidents.store.changes import head
from incidents.store.records import Incident, get_incident, incident_of
from incidents.store.schema import findings, incidents

MAX_PAGE = 200


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """A reader's filters. ``from_ms``/``to_ms`` are about the onset; ``min_severity`` includes what is above."""

    sites: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    states: tuple[AlertState, ...] = ()
    severities: tuple[Severity, ...] = ()
    min_severity: Severity = Severity.INFO
    from_ms: int | None = None
    to_ms: int | None = None
    text: str = ""


class Order(enum.StrEnum):
    """How a list is ordered."""

    NEWEST = "newest"  # newest opened first
    URGENT = "urgent"  # by precedence, then newest opened first


class Position(msgspec.Struct, frozen=True):
    """The place of a row in an ordered list. ``precedence`` is 0 for every row of a list by time alone."""

    precedence: int
    ordinal: int


class Page(msgspec.Struct, frozen=True):
    """Incidents in order. ``seq``: a stream from here on misses nothing. ``cursor``: the last row; None: no more."""

    incidents: list[Incident]
    cursor: Position | None
    seq: int


def precedence_of(incident: Incident) -> int:
    """Return how far up a row stands: 0 critical and open, 1 the same in a drill or simulation, 2 the rest."""
    if incident.severity is not Severity.CRITICAL or incident.state in FINAL_ALERT_STATES:
        return 2
    return 0 if incident.origin == Origin.LIVE else 1


def read_page(
    connection: Connection,
    scope: Scope,
    filters: Filters,
    *,
    after: Position | None,
    limit: int,
    order: Order = Order.NEWEST,
) -> Page:
    """Read one page of what ``scope`` may see, from the row after the position ``after`` on."""
    limit = max(1, min(limit, MAX_PAGE))
    wanted = _conditions(scope, filters)
    found: list[Incident] = []
    for precedence, section in enumerate(_sections(order)):
        if len(found) > limit or (after is not None and precedence < after.precedence):
            continue
        query: Select[*tuple[object, ...]] = select(incidents).where(*wanted, section)
        if after is not None and precedence == after.precedence:
            query = query.where(incidents.c.ordinal < after.ordinal)
        query = query.order_by(incidents.c.ordinal.desc()).limit(limit + 1 - len(found))
        found += [incident_of(row) for row in connection.execute(query).mappings()]
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], None if last is None else _position(last, order), head(connection))


def read_incident(connection: Connection, scope: Scope, incident_id: str) -> Incident | None:
    """Return one incident, or None when it does not exist or is out of scope."""
    incident = get_incident(connection, incident_id)
    return incident if incident is not None and incident.site_id in scope else None


def read_findings(connection: Connection, incident_id: str) -> list[Finding]:
    """Return the findings applied to an incident, in the order in which they were decided."""
    query = select(findings.c.content, findings.c.verified).where(findings.c.incident_id == incident_id)
    rows = connection.execute(query.where(findings.c.applied.is_(True))).all()
    found = [
        msgspec.structs.replace(msgspec.json.decode(row.content, type=Finding), verified=row.verified) for row in rows
    ]
    return sorted(found, key=lambda finding: (finding.decided_ms, finding.open_id, finding.nth))


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that an incident's site is in ``scope``."""
    if scope.every:
        return incidents.c.site_id.not_in(scope.named) if scope.named else true()
    return incidents.c.site_id.in_(scope.named) if scope.named else false()


def _position(incident: Incident, order: Order) -> Position:
    return Position(precedence_of(incident) if order is Order.URGENT else 0, incident.ordinal)


def _sections(order: Order) -> list[ColumnElement[bool]]:
    """Return the parts of a list, one after the other; each is read by its index rather than all of it sorted."""
    if order is Order.NEWEST:
        return [true()]
    table = incidents.c
    open_critical = and_(
        table.severity_rank == Severity.CRITICAL.rank,
        table.state.in_([state.value for state in AlertState if state not in FINAL_ALERT_STATES]),
    )
    live = table.origin == Origin.LIVE.value
    return [and_(open_critical, live), and_(open_critical, not_(live)), not_(open_critical)]


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
