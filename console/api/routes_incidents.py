"""The feed, one incident, and what people do to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from console.api import models
from console.api.bounds import Code, EpochMs, IncidentId, ShortText
from console.api.context import ContextIn, Reader, ReaderIn, SameSite
from console.api.errors import ApiError
from contracts.findings import Severity
from contracts.incidents import AlertState
from evidence.store import evidence_of
from identity.roles import ACTION_RIGHTS, Right
from incidents.alerts.actions import Command, VersionConflict
from incidents.alerts.feed import Filters, Order, Position, read_findings, read_incident, read_page
from incidents.store.history import history_of
from incidents.store.records import Incident

router = APIRouter(prefix="/api/v1", tags=["incidents"])

_MANY = 50
Codes = Annotated[list[Code], Query(max_length=_MANY)]
_ERRORS: dict[int | str, dict[str, object]] = {
    401: {"model": models.ErrorOut},
    403: {"model": models.ErrorOut},
    404: {"model": models.ErrorOut},
}


@router.get("/incidents", responses={401: {"model": models.ErrorOut}})
def list_incidents(
    reader: ReaderIn,
    context: ContextIn,
    site: Codes = [],  # noqa: B006 - FastAPI copies it
    scenario: Codes = [],  # noqa: B006
    state: Annotated[list[AlertState], Query(max_length=_MANY)] = [],  # noqa: B006
    severity: Annotated[list[Severity], Query(max_length=_MANY)] = [],  # noqa: B006
    min_severity: Severity = Severity.INFO,
    from_ms: Annotated[EpochMs | None, Query(alias="from", description="onset at or after, epoch ms")] = None,
    to_ms: Annotated[EpochMs | None, Query(alias="to", description="onset before, epoch ms")] = None,
    q: Annotated[ShortText, Query(description="words of number, place, device")] = "",
    cursor: Annotated[
        str | None, Query(max_length=20, pattern=r"^([0-2]-)?[0-9]{1,18}$", description="of a list in this order")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    order: Annotated[Order, Query(description="urgent: precedence 0 first, then 1, then 2")] = Order.NEWEST,
) -> models.IncidentList:
    """Return incidents of the reader's sites, newest opened first, or those that are urgent above the rest."""
    filters = Filters(
        sites=tuple(site),
        scenarios=tuple(scenario),
        states=tuple(state),
        severities=tuple(severity),
        min_severity=min_severity,
        from_ms=from_ms,
        to_ms=to_ms,
        text=q,
    )
    scope = reader.person.sites(Right.VIEW_INCIDENTS)
    after = None if cursor is None else _position(cursor, order)
    with context.store.read() as connection:
        page = read_page(connection, scope, filters, after=after, limit=limit, order=order)
    rows = [reader.present.row(incident) for incident in page.incidents]
    further = None if page.cursor is None else _cursor(page.cursor, order)
    return models.IncidentList(incidents=rows, cursor=further, seq=page.seq)


@router.get("/incidents/{incident_id}", responses=_ERRORS)
def get_incident(incident_id: IncidentId, reader: ReaderIn, context: ContextIn) -> models.IncidentDetail:
    """Return one incident with its findings, their reasons, its evidence and its history."""
    scope = reader.person.sites(Right.VIEW_INCIDENTS)
    with context.store.read() as connection:
        incident = read_incident(connection, scope, incident_id)
        if incident is None:
            raise ApiError(404, "not_found")
        earlier = read_incident(connection, scope, incident.recurs_of) if incident.recurs_of else None
        findings = read_findings(connection, incident_id)
        evidence = evidence_of(connection, incident_id)
        history = history_of(connection, incident_id)
    present, may_look = reader.present, reader.person.may(Right.VIEW_EVIDENCE, incident.site_id)
    return models.IncidentDetail(
        incident=present.row(incident),
        earlier=present.row(earlier) if earlier else None,
        findings=[present.finding(finding) for finding in findings],
        evidence=[present.evidence(row) for row in evidence] if may_look else [],
        history=[present.history(incident.site_id, step) for step in history],
    )


@router.post(
    "/incidents/{incident_id}/actions",
    dependencies=[SameSite],
    responses=_ERRORS | {409: {"model": models.ErrorOut}, 422: {"model": models.ErrorOut}},
)
def act(incident_id: IncidentId, action: models.ActionIn, reader: ReaderIn, context: ContextIn) -> models.IncidentRow:
    """Mark it seen, handled or a false alarm. 409 says who was first."""
    with context.store.read() as connection:
        before = read_incident(connection, reader.person.sites(Right.VIEW_INCIDENTS), incident_id)
    if before is None:
        raise ApiError(404, "not_found")
    right = ACTION_RIGHTS.get(action.action)
    if right is None:
        raise ApiError(409, "not_allowed")
    reader.need(right, before.site_id)
    command = Command(
        incident_id=incident_id,
        action=action.action,
        version=action.version,
        reason=action.reason,
        comment=action.comment,
    )
    return reader.present.row(_carry_out(reader, context, command))


def _cursor(position: Position, order: Order) -> str:
    return str(position.ordinal) if order is Order.NEWEST else f"{position.precedence}-{position.ordinal}"


def _position(cursor: str, order: Order) -> Position:
    """Read a cursor that :func:`_cursor` wrote.

    Raises:
        ApiError: 422, it belongs to a list in another order.
    """
    precedence, dash, ordinal = cursor.rpartition("-")
    if bool(dash) is not (order is Order.URGENT):
        raise ApiError(422, "bad_request")
    return Position(int(precedence or 0), int(ordinal))


def _carry_out(reader: Reader, context: ContextIn, command: Command) -> Incident:
    try:
        return context.actions.act(reader.person.name, command)
    except VersionConflict as conflict:
        raise _conflict(reader, conflict) from None


def _conflict(reader: Reader, conflict: VersionConflict) -> ApiError:
    present, incident = reader.present, conflict.incident
    row = present.row(incident)
    if conflict.first is None:
        return ApiError(409, "changed", incident=row)
    first = present.first(incident.site_id, conflict.first)
    values = {"actor": first.actor, "time": f"{first.at[11:19]} (UTC{first.at[23:]})", "action": first.action_text}
    return ApiError(409, "conflict", headers=None, first=first, incident=row, **values)
