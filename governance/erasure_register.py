"""The list of erasures: which reference of which site, by digest, and up to when. For good: it proves what was done."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert, select, update

from contracts.erasure import Erasure
from contracts.events import ReferenceKind
from governance import audit
from incidents.store.schema import erasures


class ErasureOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One row: what was to be erased, by whom it was ordered and when last."""

    erasure: Erasure
    asked_ms: int
    actor: str


def order_erasure(connection: Connection, erasure: Erasure, actor: str, now_ms: int) -> None:
    """Note an erasure, with an audit entry. Asked again, it covers what came since too."""
    where = (
        (erasures.c.site_id == erasure.site_id)
        & (erasures.c.kind == erasure.kind.value)
        & (erasures.c.digest == erasure.digest)
    )
    values = {"before_ms": erasure.before_ms, "asked_ms": now_ms, "actor": actor}
    if not connection.execute(update(erasures).where(where).values(values)).rowcount:
        key = {"site_id": erasure.site_id, "kind": erasure.kind.value, "digest": erasure.digest}
        connection.execute(insert(erasures).values(key | values))
    detail = {"site": erasure.site_id, "kind": erasure.kind.value, "before_ms": erasure.before_ms}
    audit.record(connection, actor, "erasure.ask", erasure.digest, detail, now_ms)


def ordered_erasures(connection: Connection) -> list[ErasureOrder]:
    """Return every erasure, oldest first."""
    rows = connection.execute(select(erasures).order_by(erasures.c.asked_ms, erasures.c.digest))
    return [
        ErasureOrder(
            erasure=Erasure(row.site_id, ReferenceKind(row.kind), row.digest, row.before_ms),
            asked_ms=row.asked_ms,
            actor=row.actor,
        )
        for row in rows
    ]
