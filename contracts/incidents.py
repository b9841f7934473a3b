"""Incidents: what people see and close. The alert's state table; an unlisted pair is refused.

Diagrams in ``docs/`` are generated from it.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from contracts.errors import Permanent
from contracts.findings import Severity, Subject
from contracts.names import Id


class AlertState(enum.StrEnum):
    """Where an alert stands. ``withdrawn``: later data contradicted it and nobody had to judge."""

    NEW = "new"
    SEEN = "seen"
    HANDLED = "handled"
    FALSE_ALARM = "false_alarm"
    PROMOTED = "promoted"
    WITHDRAWN = "withdrawn"


FINAL_ALERT_STATES = frozenset({AlertState.HANDLED, AlertState.FALSE_ALARM, AlertState.PROMOTED, AlertState.WITHDRAWN})


class AlertAction(enum.StrEnum):
    """The actions on an alert; ``retract`` is done by the reader of findings alone."""

    SEE = "see"
    HANDLE = "handle"
    MARK_FALSE = "mark_false"
    PROMOTE = "promote"
    RETRACT = "retract"


ALERT_TABLE: dict[tuple[AlertState, AlertAction], AlertState] = {
    (AlertState.NEW, AlertAction.SEE): AlertState.SEEN,
    (AlertState.NEW, AlertAction.HANDLE): AlertState.HANDLED,
    (AlertState.NEW, AlertAction.MARK_FALSE): AlertState.FALSE_ALARM,
    (AlertState.NEW, AlertAction.PROMOTE): AlertState.PROMOTED,
    (AlertState.NEW, AlertAction.RETRACT): AlertState.WITHDRAWN,
    (AlertState.SEEN, AlertAction.HANDLE): AlertState.HANDLED,
    (AlertState.SEEN, AlertAction.MARK_FALSE): AlertState.FALSE_ALARM,
    (AlertState.SEEN, AlertAction.PROMOTE): AlertState.PROMOTED,
    (AlertState.SEEN, AlertAction.RETRACT): AlertState.WITHDRAWN,
}
"""(state, action) → state. Every pair not listed is refused."""


class FalseAlarmReason(enum.StrEnum):
    """Why an alert was false; required with ``mark_false``, the raw material of better thresholds."""

    MISTAKEN_OBJECT = "mistaken_object"
    PERMITTED = "permitted"
    TEST_OR_DRILL = "test_or_drill"
    DEVICE_FAULT = "device_fault"
    DUPLICATE = "duplicate"
    OTHER = "other"


class DeliveryState(enum.StrEnum):
    """Where a delivery row stands. ``unconfirmed``: sent, but no receipt could be read."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    UNCONFIRMED = "unconfirmed"
    MUTED = "muted"


class NotAllowed(Permanent):
    """An action that the state table does not list; nothing was changed."""


def next_alert_state(state: AlertState, action: AlertAction) -> AlertState:
    """Return the state after ``action``.

    >>> next_alert_state(AlertState.NEW, AlertAction.SEE)
    <AlertState.SEEN: 'seen'>

    Raises:
        NotAllowed: when the table does not list the pair.
    """
    try:
        return ALERT_TABLE[state, action]
    except KeyError:
        raise NotAllowed(f"alert is {state}: {action} is not possible") from None


def incident_id(site_id: str, scenario: str, subject: Subject, onset_ms: int) -> str:
    """Return the id of an incident: hash of site, scenario, subject and the onset of its first finding."""
    text = "\x1f".join((site_id, scenario, subject.kind, subject.ref, str(onset_ms)))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class IncidentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a delivery: codes, times and the place to the building; no person, no room."""

    v: int = 1
    incident_id: str
    number: str  # site and day: 20261123-0042
    site_id: Id
    scenario: Id
    severity: Severity
    life_safety: bool
    verified: bool
    state: AlertState
    building: Id | None
    onset_ms: int
    last_ms: int
    origin: str
