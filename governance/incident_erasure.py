"""Erasing a reference from incidents: tombstones in rows that stay, and the evidence of who it was about.

A finding's id and digest stay, so that it is known when it comes again, with or without the reference. What a hold
covers is left alone and told. First :func:`find_mentions`, which changes nothing and so is the verification too.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, select, update

from contracts.erasure import UNKEYED, Eraser, Erasure, ReferenceKey
from contracts.events import ReferenceKind
from contracts.findings import Finding, SubjectKind
from evidence.store import SiteFile, erase_evidence
from governance.holds import Hold, HoldScope, held_evidence, held_now
from incidents.store.changes import add_change
from incidents.store.records import ChangeKind, Incident, incident_of
from incidents.store.schema import (
    alarms,
    audit_notes,
    deliveries,
    evidence,
    findings,
    holds,
    incident_actions,
    incident_evidence,
    incidents,
)

_SUBJECTS = {
    ReferenceKind.PERSON: SubjectKind.PERSON,
    ReferenceKind.VEHICLE: SubjectKind.VEHICLE,
    ReferenceKind.TAG: SubjectKind.TAG,
}
_PAGE = 1_000


class Mentions(msgspec.Struct):
    """Where a reference stands. Rows are named by their keys, each with what it should say instead."""

    findings: dict[str, str] = msgspec.field(default_factory=dict)
    incidents: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)  # subject_ref, search
    comments: dict[tuple[str, int], str] = msgspec.field(default_factory=dict)
    payloads: dict[str, str] = msgspec.field(default_factory=dict)
    alarms: dict[tuple[str, str], tuple[str, str]] = msgspec.field(default_factory=dict)  # subject, detail
    notes: dict[int, str] = msgspec.field(default_factory=dict)
    reasons: dict[str, str] = msgspec.field(default_factory=dict)  # of holds
    evidence: set[SiteFile] = msgspec.field(default_factory=set)
    about: dict[str, str] = msgspec.field(default_factory=dict)  # incident → site
    held: dict[str, Hold] = msgspec.field(default_factory=dict)  # incident → the hold that keeps it as it is

    @property
    def rows(self) -> int:
        """How many rows name it."""
        texts = len(self.comments) + len(self.payloads) + len(self.alarms)
        texts += len(self.notes) + len(self.reasons)
        return len(self.findings) + len(self.incidents) + texts


def find_mentions(connection: Connection, erasure: Erasure, key: ReferenceKey = UNKEYED) -> Mentions:
    """Return every row that names the reference, and the evidence of incidents that do, but for what is held."""
    search = _Search(connection, erasure, key)
    search.look()
    return search.found


def erase_mentions(connection: Connection, found: Mentions, now_ms: int) -> None:
    """Put the tombstones there and mark the evidence as expired; whoever calls deletes its bytes."""
    for finding_id, content in found.findings.items():
        connection.execute(update(findings).where(findings.c.finding_id == finding_id).values(content=content))
    for incident_id, (ref, search) in found.incidents.items():
        values = {"subject_ref": ref, "search": search, "changed_ms": now_ms}
        connection.execute(update(incidents).where(incidents.c.incident_id == incident_id).values(values))
    for (incident_id, version), comment in found.comments.items():
        where = (incident_actions.c.incident_id == incident_id) & (incident_actions.c.version == version)
        connection.execute(update(incident_actions).where(where).values(comment=comment))
    for delivery_id, payload in found.payloads.items():
        connection.execute(update(deliveries).where(deliveries.c.delivery_id == delivery_id).values(payload=payload))
    for (code, subject), (new_subject, detail) in found.alarms.items():
        where = (alarms.c.code == code) & (alarms.c.subject == subject)
        connection.execute(update(alarms).where(where).values(subject=new_subject, detail=detail))
    _erase_texts(connection, found)
    erase_evidence(connection, found.evidence, now_ms)
    for incident_id, site_id in found.about.items():
        add_change(connection, incident_id, site_id, ChangeKind.UPDATED, now_ms)


def _erase_texts(connection: Connection, found: Mentions) -> None:
    for seq, note in found.notes.items():
        connection.execute(update(audit_notes).where(audit_notes.c.seq == seq).values(note=note))
    for hold_id, reason in found.reasons.items():
        connection.execute(update(holds).where(holds.c.hold_id == hold_id).values(reason=reason))


class _Search:
    """One look through the tables."""

    def __init__(self, connection: Connection, erasure: Erasure, key: ReferenceKey) -> None:
        self.found = Mentions()
        self._connection = connection
        self._erasure = erasure
        self._eraser = Eraser([erasure], key)
        self._held: HoldScope = held_now(connection)

    def look(self) -> None:
        for incident in self._incidents():
            self._incident(incident)
        self._findings()
        self._comments()
        self._payloads()
        self._alarms()
        self._notes()
        self._reasons()
        self._evidence()

    def _incidents(self) -> Iterator[Incident]:
        query = select(incidents).where(incidents.c.site_id == self._erasure.site_id).order_by(incidents.c.ordinal)
        for row in self._connection.execute(query).mappings().partitions(_PAGE):
            yield from map(incident_of, row)

    def _incident(self, incident: Incident) -> None:
        ref, at_ms = incident.subject_ref, incident.onset_ms
        search = self._eraser.text(incident.site_id, incident.search, at_ms)
        kind = _SUBJECTS.get(self._erasure.kind)
        if incident.subject_kind == kind and self._eraser.covers(incident.site_id, self._erasure.kind, ref, at_ms):
            tombstone = self._eraser.tombstone(incident.site_id, self._erasure.kind, ref)
            search, ref = search.replace(ref.casefold(), tombstone), tombstone
        if (ref, search) != (incident.subject_ref, incident.search) and self._may(incident.incident_id):
            self.found.incidents[incident.incident_id] = (ref, search)

    def _findings(self) -> None:
        columns = (findings.c.finding_id, findings.c.incident_id, findings.c.content)
        query = select(*columns).where(findings.c.site_id == self._erasure.site_id)
        for finding_id, incident_id, content in self._connection.execute(query):
            erased = self._erased(content)
            if erased != content and (incident_id is None or self._may(incident_id)):
                self.found.findings[finding_id] = erased

    def _erased(self, content: str) -> str:
        """Return a finding's row without the reference; one that cannot be read as a finding is erased as a text."""
        try:
            finding = msgspec.json.decode(content, type=Finding)
        except msgspec.DecodeError:
            return self._eraser.text(self._erasure.site_id, content, self._erasure.before_ms)
        erased = self._eraser.finding(finding)
        return content if erased is finding else msgspec.json.encode(erased).decode()

    def _comments(self) -> None:
        table = incident_actions.c
        join = incident_actions.join(incidents, incidents.c.incident_id == table.incident_id)
        query = select(table.incident_id, table.version, table.comment, table.at_ms).select_from(join)
        query = query.where(incidents.c.site_id == self._erasure.site_id, table.comment != "")
        for incident_id, version, comment, at_ms in self._connection.execute(query):
            said = self._eraser.text(self._erasure.site_id, comment, at_ms)
            if said != comment and self._may(incident_id):
                self.found.comments[incident_id, version] = said

    def _payloads(self) -> None:
        table = deliveries.c
        query = select(table.delivery_id, table.incident_id, table.payload, table.created_ms)
        for row in self._connection.execute(query.where(table.site_id == self._erasure.site_id)):
            said = self._eraser.text(self._erasure.site_id, row.payload, row.created_ms)
            if said != row.payload and self._may(row.incident_id):
                self.found.payloads[row.delivery_id] = said

    def _alarms(self) -> None:
        for row in self._connection.execute(select(alarms)):
            site_id = self._erasure.site_id
            subject = self._eraser.text(site_id, row.subject, row.first_ms)
            detail = self._eraser.text(site_id, row.detail, row.first_ms)
            if (subject, detail) != (row.subject, row.detail):
                self.found.alarms[row.code, row.subject] = (subject, detail)

    def _notes(self) -> None:
        """Find what people wrote beside the audit log; a look at an incident under a hold is none of what it keeps."""
        site_id = self._erasure.site_id
        for row in self._connection.execute(select(audit_notes).where(audit_notes.c.site_id.in_((site_id, "")))):
            said = self._eraser.text(site_id, row.note, row.at_ms)
            if said != row.note:
                self.found.notes[row.seq] = said

    def _reasons(self) -> None:
        site_id = self._erasure.site_id
        for row in self._connection.execute(select(holds).where(holds.c.site_id == site_id)):
            said = self._eraser.text(site_id, row.reason, row.since_ms)
            if said != row.reason:
                self.found.reasons[row.hold_id] = said

    def _evidence(self) -> None:
        """Find what incidents about it name and is not gone yet, unless an incident under a hold names it too."""
        site_id = self._erasure.site_id
        join = incident_evidence.join(evidence, evidence.c.sha256 == incident_evidence.c.sha256)
        query = select(incident_evidence.c.sha256).select_from(join)
        query = query.where(evidence.c.state != "expired", evidence.c.site_id == site_id)
        named = self._connection.execute(query.where(incident_evidence.c.incident_id.in_(self.found.about))).scalars()
        self.found.evidence = {SiteFile(site_id, sha256) for sha256 in named} - held_evidence(self._connection)

    def _may(self, incident_id: str) -> bool:
        """Return whether the incident may be changed; noted either way."""
        hold = self._held.of(self._erasure.site_id, incident_id)
        if hold is None:
            self.found.about[incident_id] = self._erasure.site_id
            return True
        self.found.held[incident_id] = hold
        return False
