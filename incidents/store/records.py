"""Rows as values: what the rest of the room reads and compares."""

from __future__ import annotations

import enum
from typing import Any, get_type_hints

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, select

from contracts.findings import Severity
from contracts.incidents import FINAL_ALERT_STATES, AlertState
from incidents.store.schema import incidents

SEVERITIES = (Severity.INFO, Severity.MINOR, Severity.MAJOR, Severity.CRITICAL)
"""By rank."""


_GET = select(incidents).where(incidents.c.incident_id == bindparam("of"))


class ChangeKind(enum.StrEnum):
    """The kind of change of an incident, as ``incident_changes`` and the stream say it."""

    OPENED = "opened"
    EXTENDED = "extended"  # a new episode joined it
    UPDATED = "updated"  # a further finding of an episode
    WITHDRAWN = "withdrawn"
    ACTED = "acted"  # a person changed its state
    EVIDENCE = "evidence"  # a still or clip arrived, failed or expired


class DeliveryKind(enum.StrEnum):
    """Why receivers are told about an incident."""

    OPENED = "opened"
    RAISED = "raised"  # more severe than told before
    CONFIRMED = "confirmed"  # was unverified
    CORRECTED = "corrected"  # withdrawn or a false alarm: what was told does not hold
    CLOSED = "closed"  # handled or promoted


class EvidenceState(enum.StrEnum):
    """pending → present → failed/expired."""

    PENDING = "pending"
    PRESENT = "present"
    FAILED = "failed"
    EXPIRED = "expired"


class EpisodeState(enum.StrEnum):
    """Where an episode of findings stands."""

    OPEN = "open"
    CLOSED = "closed"
    RETRACTED = "retracted"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``incidents``. ``version`` counts what a person must have seen: actions, withdrawal, more severity."""

    incident_id: str
    ordinal: int
    number: str
    site_id: str
    scenario: str
    subject_kind: str
    subject_ref: str
    place_id: str
    building: str | None
    source_id: str | None
    state: AlertState
    version: int
    severity_rank: int
    life_safety: bool
    verified: bool
    confidence: float
    ongoing: bool
    onset_ms: int
    last_ms: int
    opened_ms: int
    changed_ms: int
    recurs_of: str | None
    origin: str
    fold_group: str | None
    search: str

    @property
    def severity(self) -> Severity:
        """The severity of its rank."""
        return SEVERITIES[self.severity_rank]

    @property
    def final(self) -> bool:
        """Whether nobody has to do anything any more."""
        return self.state in FINAL_ALERT_STATES


_FIELDS = tuple(get_type_hints(Incident))


def incident_of(row: RowMapping) -> Incident:
    """Return the row of ``incidents`` as a value."""
    values: dict[str, Any] = {name: row[name] for name in _FIELDS}
    return Incident(**{**values, "state": AlertState(row["state"])})


def get_incident(connection: Connection, incident_id: str) -> Incident | None:
    """Return one incident, or None."""
    row = connection.execute(_GET, {"of": incident_id}).mappings().first()
    return None if row is None else incident_of(row)
