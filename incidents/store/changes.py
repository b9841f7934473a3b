"""``incident_changes``: one row for every visible change, numbered in order of commit; what the live feed follows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from incidents.store.counters import allot, current
from incidents.store.records import ChangeKind
from incidents.store.schema import incident_changes

CHANGES = "incident_changes"
"""The counter of their numbers."""


class Change(msgspec.Struct, frozen=True):
    """One row: what happened to which incident."""

    seq: int
    incident_id: str
    site_id: str
    kind: ChangeKind
    at_ms: int


def add_change(connection: Connection, incident_id: str, site_id: str, kind: ChangeKind, at_ms: int) -> int:
    """Write a change in the caller's transaction; returns its seq."""
    seq = allot(connection, CHANGES)
    write_changes(connection, [Change(seq, incident_id, site_id, kind, at_ms)])
    return seq


def write_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """Write changes that have their numbers."""
    rows = [msgspec.structs.asdict(change) | {"kind": change.kind.value} for change in changes]
    if rows:
        connection.execute(insert(incident_changes), rows)


def head(connection: Connection) -> int:
    """Return the newest seq, 0 before the first."""
    return current(connection, CHANGES)


def changes_after(connection: Connection, seq: int, limit: int) -> list[Change]:
    """Return up to ``limit`` changes after ``seq``, in order."""
    table = incident_changes
    query = select(table).where(table.c.seq > seq).order_by(table.c.seq).limit(limit)
    rows = connection.execute(query)
    return [Change(row.seq, row.incident_id, row.site_id, ChangeKind(row.kind), row.at_ms) for row in rows]


def can_resume(connection: Connection, seq: int) -> bool:
    """Return whether every change after ``seq`` is still held, so that a reader who saw ``seq`` misses nothing."""
    newest = head(connection)
    if seq == newest:
        return True
    oldest = connection.execute(select(func.min(incident_changes.c.seq))).scalar()
    return oldest is not None and oldest - 1 <= seq < newest


def prune(connection: Connection, before_ms: int) -> int:
    """Forget changes older than ``before_ms``; returns how many. A reader further behind must read everything anew.

    From the oldest number up to the first that is kept: their times have no index, and are as good as in order.
    """
    table = incident_changes
    kept = select(table.c.seq).where(table.c.at_ms >= before_ms).order_by(table.c.seq).limit(1)
    first = connection.execute(kept).scalar()
    last = head(connection) if first is None else first - 1
    return connection.execute(delete(table).where(table.c.seq <= last)).rowcount
