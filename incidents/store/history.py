"""An incident's history: every change of state or severity, by whom, with the version it made."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert, select

from incidents.store.records import Incident
from incidents.store.schema import incident_actions

SYSTEM = "linli"
"""The actor of what nobody did by hand; no user may have this name."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One row: ``action`` made ``version`` of the incident."""

    incident_id: str
    version: int
    action: str
    from_state: str
    to_state: str
    actor: str
    reason: str | None
    comment: str
    at_ms: int


def add_history(
    connection: Connection,
    before: Incident,
    after: Incident,
    *,
    action: str,
    actor: str,
    now_ms: int,
    reason: str | None = None,
    comment: str = "",
) -> None:
    """Write the step from ``before`` to ``after`` in the caller's transaction."""
    entry = HistoryEntry(
        incident_id=after.incident_id,
        version=after.version,
        action=action,
        from_state=before.state.value,
        to_state=after.state.value,
        actor=actor,
        reason=reason,
        comment=comment,
        at_ms=now_ms,
    )
    connection.execute(insert(incident_actions).values(msgspec.structs.asdict(entry)))


def history_of(connection: Connection, incident_id: str) -> list[HistoryEntry]:
    """Return every step, oldest first."""
    query = select(incident_actions).where(incident_actions.c.incident_id == incident_id)
    rows = connection.execute(query.order_by(incident_actions.c.version)).mappings()
    return [HistoryEntry(**row) for row in rows]


def last_step(connection: Connection, incident_id: str) -> HistoryEntry | None:
    """Return the newest step, or None when nothing was done yet."""
    steps = history_of(connection, incident_id)
    return steps[-1] if steps else None
