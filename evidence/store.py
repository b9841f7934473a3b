"""What evidence incidents name, and whether it is here: pending → present → failed/expired. Bytes: evidence_files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update

from contracts.durations import HOUR_MS
from contracts.events import EvidenceRef
from contracts.names import is_sha256
from incidents.store.changes import add_change
from incidents.store.database import select_by_ids
from incidents.store.records import ChangeKind, EvidenceState
from incidents.store.schema import evidence, incident_evidence, incidents

KEPT_ON_BOX_MS = 72 * HOUR_MS
"""A box keeps stills and clips at most so long; what has not come by then never will."""


ERASED = "erased"
"""The reason of evidence that was erased on request."""


_KNOWN = select(evidence.c.site_id, evidence.c.sha256).where(evidence.c.sha256.in_(bindparam("ids", expanding=True)))
_ONE_OF = evidence.c.sha256.in_(bindparam("ids", expanding=True))
_LINKS = select(incident_evidence.c.incident_id, incident_evidence.c.sha256).where(
    incident_evidence.c.sha256.in_(bindparam("ids", expanding=True))
)


class SiteFile(NamedTuple):
    """A still or clip of a site. The same bytes of another site are another's."""

    site_id: str
    sha256: str


class NamedEvidence(msgspec.Struct, frozen=True):
    """A finding of an incident named a still or clip."""

    incident_id: str
    site_id: str
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

    Bytes that came before their finding are present at once. What is no hash was taken by an earlier version; it is
    nobody's name and is left out.
    """
    named = [one for one in named if is_sha256(one.ref.sha256)]
    hashes = list(dict.fromkeys(one.ref.sha256 for one in named))
    known = {SiteFile(row["site_id"], row["sha256"]) for row in select_by_ids(connection, _KNOWN, hashes)}
    linked = {(row["incident_id"], row["sha256"]) for row in select_by_ids(connection, _LINKS, hashes)}
    new: dict[SiteFile, dict[str, object]] = {}
    links: dict[tuple[str, str], dict[str, object]] = {}
    for one in named:
        sha256 = one.ref.sha256
        file = SiteFile(one.site_id, sha256)
        if file not in known:
            new.setdefault(file, _asked_for(one))
        if (one.incident_id, sha256) not in linked:
            links.setdefault((one.incident_id, sha256), _link(one.incident_id, one.ref))
    if new:
        connection.execute(insert(evidence), list(new.values()))
    if links:
        connection.execute(insert(incident_evidence), list(links.values()))


def settle_evidence(
    connection: Connection,
    file: SiteFile,
    state: EvidenceState,
    now_ms: int,
    *,
    box_id: str,
    size_bytes: int,
    reason: str,
) -> None:
    """Note that the bytes arrived (or proved wrong); the site's incidents that name them change.

    Present bytes stay present. What was erased stays erased, also when its upload was under way.
    """
    row = connection.execute(select(evidence.c.state, evidence.c.reason).where(_is(file))).first()
    if row is not None and (row.state == EvidenceState.PRESENT.value or row.reason == ERASED):
        return
    values = {"state": state.value, "size_bytes": size_bytes, "box_id": box_id, "reason": reason, "settled_ms": now_ms}
    if row is None:
        connection.execute(insert(evidence).values(**file._asdict(), asked_ms=now_ms, **values))
    else:
        connection.execute(update(evidence).where(_is(file)).values(values))
    _announce(connection, file, now_ms)


def expire_evidence(connection: Connection, now_ms: int) -> list[SiteFile]:
    """Give up what no box can still have; returns it."""
    expired = _files(
        connection, evidence.c.state == EvidenceState.PENDING.value, evidence.c.asked_ms < now_ms - KEPT_ON_BOX_MS
    )
    for file in expired:
        mark_expired(connection, file, now_ms)
    return expired


def mark_expired(connection: Connection, file: SiteFile, now_ms: int) -> None:
    """Note that the bytes are not here and will not be any more; the site's incidents that name them change."""
    values = {"state": EvidenceState.EXPIRED.value, "settled_ms": now_ms}
    connection.execute(update(evidence).where(_is(file)).values(values))
    _announce(connection, file, now_ms)


def erase_evidence(connection: Connection, files: Iterable[SiteFile], now_ms: int) -> None:
    """Note that these bytes are erased: gone, and not taken any more should a box of the site still have them."""
    values = {"state": EvidenceState.EXPIRED.value, "reason": ERASED, "settled_ms": now_ms}
    for file in sorted(files):
        if connection.execute(select(evidence.c.state).where(_is(file))).first() is not None:
            connection.execute(update(evidence).where(_is(file)).values(values))
        else:
            row: dict[str, object] = {**file._asdict(), "size_bytes": 0, "box_id": None, "asked_ms": now_ms}
            connection.execute(insert(evidence).values(row | values))
        _announce(connection, file, now_ms)


def is_erased(connection: Connection, file: SiteFile) -> bool:
    """Return whether the bytes were erased and so are not wanted; before sites were noted, for every site."""
    where = (evidence.c.sha256 == file.sha256) & evidence.c.site_id.in_([file.site_id, ""])
    return connection.execute(select(evidence.c.sha256).where(where, evidence.c.reason == ERASED)).first() is not None


def is_present(connection: Connection, file: SiteFile) -> bool:
    """Return whether the site has the bytes: a box of its own sent them."""
    where = _is(file) & (evidence.c.state == EvidenceState.PRESENT.value)
    return connection.execute(select(evidence.c.sha256).where(where)).first() is not None


def erased_evidence(connection: Connection) -> set[SiteFile]:
    """Return everything that was erased."""
    return set(_files(connection, evidence.c.reason == ERASED))


def present_before(connection: Connection, before_ms: int) -> list[SiteFile]:
    """Return what is present and came before ``before_ms``."""
    return _files(connection, evidence.c.state == EvidenceState.PRESENT.value, evidence.c.settled_ms < before_ms)


def bytes_of_nobody(connection: Connection, files: Iterable[SiteFile]) -> set[str]:
    """Return the hashes of ``files`` whose bytes no site has: one file holds them for every site that has them."""
    hashes = {file.sha256 for file in files}
    query = select(evidence.c.sha256).where(evidence.c.state == EvidenceState.PRESENT.value)
    held = {row["sha256"] for row in select_by_ids(connection, query.where(_ONE_OF), sorted(hashes))}
    return hashes - held


def evidence_of(connection: Connection, incident_id: str) -> list[EvidenceRow]:
    """Return what an incident names, stills before clips, in order of time."""
    join = incident_evidence.join(incidents, incidents.c.incident_id == incident_evidence.c.incident_id).join(
        evidence, (evidence.c.sha256 == incident_evidence.c.sha256) & (evidence.c.site_id == incidents.c.site_id)
    )
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


def named_sizes(connection: Connection, file: SiteFile) -> set[int]:
    """Return the sizes that the site's incidents give the bytes; empty when none names them."""
    join = incident_evidence.join(incidents, incidents.c.incident_id == incident_evidence.c.incident_id)
    query = select(incident_evidence.c.size_bytes).select_from(join)
    query = query.where(incident_evidence.c.sha256 == file.sha256, incidents.c.site_id == file.site_id)
    return set(connection.execute(query).scalars())


class UnnamedEvidence(msgspec.Struct, frozen=True):
    """Bytes that are present though no incident of their site names them."""

    file: SiteFile
    box_id: str
    size_bytes: int


def unnamed_evidence(connection: Connection, before_ms: int | None = None) -> list[UnnamedEvidence]:
    """Return what is present but no incident of its site names, if it came before ``before_ms``."""
    names = incident_evidence.join(incidents, incidents.c.incident_id == incident_evidence.c.incident_id)
    named = (
        select(incident_evidence.c.sha256)
        .select_from(names)
        .where(incident_evidence.c.sha256 == evidence.c.sha256, incidents.c.site_id == evidence.c.site_id)
        .exists()
    )
    query = select(evidence.c.site_id, evidence.c.sha256, evidence.c.box_id, evidence.c.size_bytes)
    query = query.where(~named, evidence.c.state == EvidenceState.PRESENT.value)
    if before_ms is not None:
        query = query.where(evidence.c.settled_ms < before_ms)
    return [
        UnnamedEvidence(SiteFile(row.site_id, row.sha256), row.box_id or "", row.size_bytes)
        for row in connection.execute(query)
    ]


def place_evidence(connection: Connection, site_of: Callable[[str], str | None], now_ms: int) -> None:
    """Give what came before sites were noted to the site of its box; of an unknown box it is nobody's."""
    query = select(evidence).where(evidence.c.site_id == "", evidence.c.state == EvidenceState.PRESENT.value)
    for row in connection.execute(query).mappings().all():
        nowhere, site_id = SiteFile("", row["sha256"]), site_of(row["box_id"] or "")
        if site_id is not None:
            size, box_id = row["size_bytes"], row["box_id"]
            file = SiteFile(site_id, row["sha256"])
            settle_evidence(connection, file, EvidenceState.PRESENT, now_ms, box_id=box_id, size_bytes=size, reason="")
            connection.execute(delete(evidence).where(_is(nowhere)))


def _announce(connection: Connection, file: SiteFile, now_ms: int) -> None:
    for incident_id, site_id, _mime in incidents_naming(connection, file.sha256):
        if site_id == file.site_id:
            add_change(connection, incident_id, site_id, ChangeKind.EVIDENCE, now_ms)


def _is(file: SiteFile) -> ColumnElement[bool]:
    return (evidence.c.site_id == file.site_id) & (evidence.c.sha256 == file.sha256)


def _files(connection: Connection, *where: ColumnElement[bool]) -> list[SiteFile]:
    rows = connection.execute(select(evidence.c.site_id, evidence.c.sha256).where(*where))
    return [SiteFile(row.site_id, row.sha256) for row in rows]


def _asked_for(named: NamedEvidence) -> dict[str, object]:
    return {
        "site_id": named.site_id,
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
