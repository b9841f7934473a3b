"""What people write beside an entry of the audit log, such as why somebody looked at a picture.

The audit log cannot be changed, so it holds nothing that a person wrote. A note stands in a table of its own: an
erasure takes references out of it, and it ends with the incidents, long before its entry.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from governance import audit
from governance.holds import HoldScope
from incidents.store.schema import audit_notes, holds, incidents


def record_with_note(
    connection: Connection, actor: str, action: str, subject: str, incident_id: str, note: str, now_ms: int
) -> int:
    """Append an entry of the audit log about an incident and, unless it is empty, what a person wrote beside it.

    Returns:
        the entry's number.
    """
    seq = audit.record(connection, actor, action, subject, {"incident": incident_id}, now_ms)
    if note.strip():
        of_site = select(incidents.c.site_id).where(incidents.c.incident_id == incident_id)
        site_id = connection.execute(of_site).scalar() or ""
        row = {"seq": seq, "at_ms": now_ms, "site_id": site_id, "note": note.strip()}
        connection.execute(insert(audit_notes).values(row))
    return seq


def note_of(connection: Connection, seq: int) -> str:
    """Return what was written beside an entry; empty when nothing was, or nothing is left."""
    return connection.execute(select(audit_notes.c.note).where(audit_notes.c.seq == seq)).scalar() or ""


def delete_old_notes(connection: Connection, before_ms: int, held: HoldScope) -> int:
    """Delete notes, and reasons of ended holds, from before ``before_ms``; how many. Held sites keep theirs."""
    sites = {*held.sites, *(hold.site_id for hold in held.incidents.values())}
    old = (audit_notes.c.at_ms < before_ms) & audit_notes.c.site_id.not_in(sites)
    gone = connection.execute(delete(audit_notes).where(old)).rowcount
    ended = (holds.c.ended_ms < before_ms) & (holds.c.reason != "") & holds.c.site_id.not_in(sites)
    return gone + connection.execute(update(holds).where(ended).values(reason="")).rowcount
