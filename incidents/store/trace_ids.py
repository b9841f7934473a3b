"""The one id under which an incident and its deliveries are logged: that of the event it began with."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, bindparam, select

from contracts.findings import Finding, Phase, trace_id
from incidents.store.schema import findings

_OPENING = (
    select(findings.c.content)
    .where(findings.c.incident_id == bindparam("of"), findings.c.phase == Phase.OPEN.value)
    .order_by(findings.c.taken_ms, findings.c.finding_id)
    .limit(1)
)


def trace_of_incident(connection: Connection, incident_id: str) -> str:
    """Return the trace id of an incident's first finding; the incident's own id when none of its findings is kept."""
    content = connection.execute(_OPENING, {"of": incident_id}).scalar()
    return incident_id if content is None else trace_id(msgspec.json.decode(content, type=Finding))
