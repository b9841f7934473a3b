"""What evidence incidents name, and whether it is here: pending → present → failed/expired. Bytes: evidence_files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, insert, select, update

from contracts.durations import HOUR_MS
from contracts.events import EvidenceRef
from incidents.store.changes import add_change
from incidents.store.database import select_by_ids
from incidents.store.records import ChangeKind, EvidenceState
from incidents.store.schema import evidence, incident_evidence, incidents

KEPT_ON_BOX_MS = 72 * HOUR_MS
"""A box keeps stills and clips at most so long; what has not come by then never will."""


ERASED = "erased"
"""The reason of evidence that was erased on request."""


_KNOWN = select(evidence.c.sha256).where(evidence.c.sha256.in_(bindparam("ids", expanding=True)))
_LINKS = select(incident_evidence.c.incident_id, incident_evidence.c.sha256).where(
    incident_evidence.c.sha256.in_(bindparam("ids", expanding=True))
)


class NamedEvidence(msgspec.Struct, frozen=True):
    """A finding of an incident named a still or clip."""

    incident_id: str
    ref: EvidenceRef
    at_ms: int


class EvidenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A still or clip as one incident names it, with the state of its bytes."""

    incident_id: str
    sha256: str
    evidence_id: str
    kind: str
    mime: str
    size_bytes: int
    from_ms: int
    to_ms: int
    state: EvidenceState
    reason: str


def name_evidence(connection: Connection, named: Sequence[NamedEvidence]) -> None:
    """Link what findings name to their incidents, in this order, of the same bytes in one incident only the first.

    Bytes that came before their finding are present at once.
    """
    hashes = list(dict.fromkeys(one.ref.sha256 for one in named))
    known = {row["sha256"] for row in select_by_ids(connection, _KNOWN, hashes)}
    linked = {(row["incident_id"], row["sha256"]) for row in select_by_ids(connection, _LINKS, hashes)}
    new: dict[str, dict[str, object]] = {}
    links: dict[tuple[str, str], dict[str, object]] = {}
    for one in named:
        sha256 = one.ref.sha256
        if sha256 not in known:
            new.setdefault(sha256, _asked_for(one))
        if (one.incident_id, sha256) not in linked:
            links.setdefault((one.incident_id, sha256), _link(one.incident_id, one.ref))
    if new:
        connection.execute(insert(evidence), list(new.values()))
    if links:
        connection.execute(insert(incident_evidence), list(links.values()))


def settle_evidence(
    connection: Connection, sha256: str, state: EvidenceState, now_ms: int, *, box_id: str, size_bytes: int, reason: str
) -> None:
    """Note that the bytes arrived (or proved wrong); every incident naming them changes. Present bytes stay present.

    What was erased stays erased, also when its upload was under way.
    """
    row = connection.execute(select(evidence.c.state, evidence.c.reason).where(evidence.c.sha256 == sha256)).first()
    if row is not None and (row.state == EvidenceState.PRESENT.value or row.reason == ERASED):
        return
    values = {"state": state.value, "size_bytes": size_bytes, "box_id": box_id, "reason": reason, "settled_ms": now_ms}
    if row is None:
        connection.execute(insert(evidence).values(sha256=sha256, asked_ms=now_ms, **values))
    else:
        connection.execute(update(evidence).where(evidence.c.sha256 == sha256).values(values))
    _announce(connection, sha256, now_ms)


def expire_evidence(connection: Connection, now_ms: int) -> list[str]:
    """Give up what no box can still have; returns the hashes."""
    due = (evidence.c.state == EvidenceState.PENDING.value) & (evidence.c.asked_ms < now_ms - KEPT_ON_BOX_MS)
    expired = list(connection.execute(select(evidence.c.sha256).where(due)).scalars())
    for sha256 in expired:
        mark_expired(connection, sha256, now_ms)
    return expired


def mark_expired(connection: Connection, sha256: str, now_ms: int) -> None:
    """Note that the bytes are not here and will not be any more; every incident that names them changes."""
    values = {"state": EvidenceState.EXPIRED.value, "settled_ms": now_ms}
    connection.execute(update(evidence).where(evidence.c.sha256 == sha256).values(values))
    _announce(connection, sha256, now_ms)


def erase_evidence(connection: Connection, hashes: Iterable[str], now_ms: int) -> None:
    """Note that these bytes are erased: gone, and not taken any more should a box still have them."""
    values = {"state": EvidenceState.EXPIRED.value, "reason": ERASED, "settled_ms": now_ms}
    for sha256 in sorted(hashes):
        if _exists(connection, sha256):
            connection.execute(update(evidence).where(evidence.c.sha256 == sha256).values(values))
        else:
            row = {"sha256": sha256, "size_bytes": 0, "box_id": None, "asked_ms": now_ms}
            connection.execute(insert(evidence).values(row | values))
        _announce(connection, sha256, now_ms)


def is_erased(connection: Connection, sha256: str) -> bool:
    """Return whether the bytes were erased and so are not wanted."""
    where = (evidence.c.sha256 == sha256) & (evidence.c.reason == ERASED)
    return connection.execute(select(evidence.c.sha256).where(where)).first() is not None


def erased_evidence(connection: Connection) -> set[str]:
    """Return the hashes of everything that was erased."""
    return set(connection.execute(select(evidence.c.sha256).where(evidence.c.reason == ERASED)).scalars())


def present_before(connection: Connection, before_ms: int) -> list[str]:
    """Return the hashes of what is present and came before ``before_ms``."""
    where = (evidence.c.state == EvidenceState.PRESENT.value) & (evidence.c.settled_ms < before_ms)
    return list(connection.execute(select(evidence.c.sha256).where(where)).scalars())


def evidence_of(connection: Connection, incident_id: str) -> list[EvidenceRow]:
    """Return what an incident names, stills before clips, in order of time."""
    join = incident_evidence.join(evidence, evidence.c.sha256 == incident_evidence.c.sha256)
    query = (
        select(incident_evidence, evidence.c.state, evidence.c.reason)
        .select_from(join)
        .where(incident_evidence.c.incident_id == incident_id)
        .order_by(incident_evidence.c.kind.desc(), incident_evidence.c.from_ms, incident_evidence.c.sha256)
    )
    rows = connection.execute(query).mappings()
    return [EvidenceRow(**{**row, "state": EvidenceState(row["state"])}) for row in rows]


def incidents_naming(connection: Connection, sha256: str) -> list[tuple[str, str, str]]:
    """Return (incident_id, site_id, mime) of every incident that names the bytes."""
    join = incident_evidence.join(incidents, incidents.c.incident_id == incident_evidence.c.incident_id)
    query = select(incidents.c.incident_id, incidents.c.site_id, incident_evidence.c.mime).select_from(join)
    rows = connection.execute(query.where(incident_evidence.c.sha256 == sha256).order_by(incidents.c.ordinal))
    return [(row.incident_id, row.site_id, row.mime) for row in rows]


def unnamed_evidence(connection: Connection, before_ms: int | None = None) -> list[tuple[str, str, int]]:
    """Return (sha256, box_id, bytes) of what is present but no incident names, if it came before ``before_ms``."""
    join = evidence.outerjoin(incident_evidence, evidence.c.sha256 == incident_evidence.c.sha256)
    query = select(evidence.c.sha256, evidence.c.box_id, evidence.c.size_bytes).select_from(join)
    query = query.where(incident_evidence.c.sha256.is_(None), evidence.c.state == EvidenceState.PRESENT.value)
    if before_ms is not None:
        query = query.where(evidence.c.settled_ms < before_ms)
    return [(row.sha256, row.box_id or "", row.size_bytes) for row in connection.execute(query)]


def _announce(connection: Connection, sha256: str, now_ms: int) -> None:
    for incident_id, site_id, _mime in incidents_naming(connection, sha256):
        add_change(connection, incident_id, site_id, ChangeKind.EVIDENCE, now_ms)


def _exists(connection: Connection, sha256: str) -> bool:
    return connection.execute(select(evidence.c.state).where(evidence.c.sha256 == sha256)).first() is not None


def _asked_for(named: NamedEvidence) -> dict[str, object]:
    return {
        "sha256": named.ref.sha256,
        "state": EvidenceState.PENDING.value,
        "size_bytes": named.ref.bytes,
        "box_id": None,
        "reason": "",
        "asked_ms": named.at_ms,
        "settled_ms": None,
    }


def _link(incident_id: str, ref: EvidenceRef) -> dict[str, object]:
    return {
        "incident_id": incident_id,
        "sha256": ref.sha256,
        "evidence_id": ref.evidence_id,
        "kind": ref.kind,
        "mime": ref.mime,
        "size_bytes": ref.bytes,
        "from_ms": ref.from_ms,
        "to_ms": ref.to_ms,
    }
