"""The audit log: who did what when, append-only (triggers refuse anything else) and chained by SHA-256.

Its oldest entries go when their time is over. Then an entry *seals* what went: how far it reached, and the hash of the
last of it, which the first entry that is left names as its predecessor's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, insert, select

from incidents.store.counters import allot, current
from incidents.store.schema import audit_log

_COUNTER = "audit_log"
_GENESIS = "0" * 64
_AT_ONCE = 1_000
SEALED = "retention.audit"
ANCHOR, SEAL = "audit_anchor", "audit_seal"
"""Counters: the last entry that went, and the entry that seals it."""

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


class Link(msgspec.Struct, frozen=True):
    """A place in the chain: the number of an entry and its hash."""

    seq: int = 0
    hash: str = _GENESIS


def first_broken(connection: Connection) -> int | None:
    """Return the number of the first entry that is missing or was changed, or None when the chain holds to its end."""
    begin = chain_begin(connection)
    if isinstance(begin, int):
        return begin
    number, _ = follow_chain(connection, begin)
    return number


def chain_begin(connection: Connection) -> Link | int:
    """Return what the first entry that is kept follows; its number when nothing in the log says what went before it."""
    anchor = current(connection, ANCHOR)
    if not anchor:
        return Link()
    seal = entries(connection, after=current(connection, SEAL) - 1, limit=1)
    sealed = msgspec.json.decode(seal[0][0].detail) if seal and seal[0][0].action == SEALED else {}
    return Link(anchor, str(sealed.get("hash"))) if sealed.get("through") == anchor else anchor + 1


def follow_chain(connection: Connection, link: Link, most: int | None = None) -> tuple[int | None, Link]:
    """Return the number of the first broken entry after ``link`` (None: none is), and the last entry that holds.

    Args:
        most: so many entries at most; None: to the end, which is the last number that was allotted.
    """
    while batch := entries(connection, after=link.seq, limit=_AT_ONCE if most is None else min(most, _AT_ONCE)):
        for entry, stored in batch:
            if entry.seq != link.seq + 1 or entry.previous_hash != link.hash or entry.hash() != stored:
                return link.seq + 1, link
            link = Link(entry.seq, stored)
        most = None if most is None else most - len(batch)
        if most == 0:
            return None, link
    return (None if most is not None or current(connection, _COUNTER) == link.seq else link.seq + 1), link


AGAIN = 1_000
"""So many old entries are read again at each look: in turn, so that each is looked at every so often."""


class AuditChain:
    """The chain as one process looks at it again and again: what is new, and a part of what is old.

    It remembers how far the chain was found whole. The first look reads all of it.
    """

    def __init__(self) -> None:
        self._through: Link | None = None
        self._again: Link | None = None  # up to where old entries were read again; None: from the beginning

    def first_broken(self, connection: Connection) -> int | None:
        """Return the number of the first broken entry that was met, None when there was none."""
        begin = chain_begin(connection)
        if isinstance(begin, int):
            return begin
        if self._through is None or self._through.seq < begin.seq:
            self._through = begin
        new, through = follow_chain(connection, self._through)
        if new is not None:
            return self._earlier(connection, new)
        self._through = through
        if self._again is None or self._again.seq < begin.seq:
            self._again = begin
        old, self._again = follow_chain(connection, self._again, AGAIN)
        if self._again.seq >= through.seq:
            self._again = None
        return old

    def _earlier(self, connection: Connection, number: int) -> int:
        """Return where the chain is broken first, now that it is: the whole of it is read."""
        self._through = self._again = None
        return first_broken(connection) or number
