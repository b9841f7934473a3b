"""The audit log: who did what when, append-only (triggers refuse anything else) and chained by SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, insert, select

from incidents.store.counters import allot, current
from incidents.store.schema import audit_log

_COUNTER = "audit_log"
_GENESIS = "0" * 64

Detail = Mapping[str, str | int | float | bool | None]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One row, as it is hashed."""

    seq: int
    at_ms: int
    actor: str
    action: str
    subject: str
    detail: str
    previous_hash: str

    def hash(self) -> str:
        """Return SHA-256 of the entry with its predecessor's hash, as 64 hex digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def record(connection: Connection, actor: str, action: str, subject: str, detail: Detail, now_ms: int) -> int:
    """Append an entry in the caller's transaction; returns its number. ``detail`` holds no personal data."""
    seq = allot(connection, _COUNTER)
    query = select(audit_log.c.hash).where(audit_log.c.seq == seq - 1)
    entry = AuditEntry(
        seq=seq,
        at_ms=now_ms,
        actor=actor,
        action=action,
        subject=subject,
        detail=msgspec.json.encode(dict(detail), order="sorted").decode(),
        previous_hash=connection.execute(query).scalar() or _GENESIS,
    )
    connection.execute(insert(audit_log).values(**msgspec.structs.asdict(entry), hash=entry.hash()))
    return seq


def entries(connection: Connection, after: int = 0, limit: int = 1000) -> list[tuple[AuditEntry, str]]:
    """Return the entries after number ``after`` with their stored hashes, in order."""
    query = select(audit_log).where(audit_log.c.seq > after).order_by(audit_log.c.seq).limit(limit)
    names = AuditEntry.__struct_fields__
    rows = connection.execute(query).mappings()
    return [(AuditEntry(**{name: row[name] for name in names}), str(row["hash"])) for row in rows]


def first_broken(connection: Connection) -> int | None:
    """Return the number of the first entry that is missing or was changed, or None when the chain holds to its end."""
    previous, expected = _GENESIS, 1
    while batch := entries(connection, after=expected - 1):
        for entry, stored in batch:
            if entry.seq != expected or entry.previous_hash != previous or entry.hash() != stored:
                return expected
            previous, expected = stored, expected + 1
    return None if current(connection, _COUNTER) == expected - 1 else expected
