"""Delivery rows: who is to be told what, written in the transaction of the change they tell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, insert, select

from contracts.findings import Severity
from contracts.incidents import AlertState, DeliveryState, IncidentSummary
from incidents.store.counters import allot
from incidents.store.records import DeliveryKind, Incident
from incidents.store.schema import deliveries

DELIVERIES = "deliveries"
"""The counter of their ordinals."""

_KNOWN = select(deliveries.c.delivery_id).where(deliveries.c.delivery_id.in_(bindparam("keys", expanding=True)))


class DeliveryMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The message a receiver gets. ``delivery_id`` is its idempotency key: the same news always has the same key."""

    v: int = 1
    delivery_id: str
    kind: DeliveryKind
    incident: IncidentSummary


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification for one receiver of an incident as it is now."""

    delivery_id: str
    receiver: str
    incident: Incident
    kind: DeliveryKind
    at_ms: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``deliveries``. ``payload`` is the exact body of every attempt."""

    delivery_id: str
    receiver: str
    incident_id: str
    site_id: str
    kind: DeliveryKind
    payload: bytes
    life_safety: bool
    state: DeliveryState
    reason: str
    attempts: int
    created_ms: int
    due_ms: int
    settled_ms: int | None


def summary_of(incident: Incident) -> IncidentSummary:
    """Return the incident without people and rooms."""
    return IncidentSummary(
        incident_id=incident.incident_id,
        number=incident.number,
        site_id=incident.site_id,
        scenario=incident.scenario,
        severity=incident.severity,
        life_safety=incident.life_safety,
        verified=incident.verified,
        state=incident.state,
        building=incident.building,
        onset_ms=incident.onset_ms,
        last_ms=incident.last_ms,
        origin=incident.origin,
    )


def delivery_id(receiver: str, incident_id: str, kind: DeliveryKind, detail: str) -> str:
    """Return the key of one piece of news for one receiver: 24 hex digits. ``detail`` tells apart news of one kind."""
    text = "\x1f".join((receiver, incident_id, kind, detail))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def notification_detail(kind: DeliveryKind, severity: Severity, state: AlertState) -> str:
    """Return what tells apart two pieces of news of one kind about one incident."""
    match kind:
        case DeliveryKind.RAISED:
            return severity.value
        case DeliveryKind.CORRECTED | DeliveryKind.CLOSED:
            return state.value
        case DeliveryKind.OPENED | DeliveryKind.CONFIRMED:
            return ""


def add_deliveries(
    connection: Connection, receivers: Iterable[str], incident: Incident, kind: DeliveryKind, now_ms: int
) -> None:
    """Add one pending row per receiver, due now; leave news alone that a receiver already has a row for."""
    notifications = new_notifications(connection, notifications_of(receivers, incident, kind, now_ms))
    write_notifications(connection, [(allot(connection, DELIVERIES), one) for one in notifications])


def notifications_of(
    receivers: Iterable[str], incident: Incident, kind: DeliveryKind, now_ms: int
) -> list[Notification]:
    """Return one piece of news for each receiver."""
    detail = notification_detail(kind, incident.severity, incident.state)
    keys = {delivery_id(receiver, incident.incident_id, kind, detail): receiver for receiver in receivers}
    return [
        Notification(delivery_id=key, receiver=receiver, incident=incident, kind=kind, at_ms=now_ms)
        for key, receiver in keys.items()
    ]


def new_notifications(connection: Connection, notifications: Sequence[Notification]) -> list[Notification]:
    """Return those that have no row yet, in their order."""
    if not notifications:
        return []
    known = set(connection.execute(_KNOWN, {"keys": [one.delivery_id for one in notifications]}).scalars())
    return [one for one in notifications if one.delivery_id not in known]


def write_notifications(connection: Connection, numbered: Sequence[tuple[int, Notification]]) -> None:
    """Write a pending row, due now, for each with its ordinal."""
    rows = [_row(ordinal, notifications) for ordinal, notifications in numbered]
    if rows:
        connection.execute(insert(deliveries), rows)


def delivery_of(row: object) -> Delivery:
    """Return a row of ``deliveries`` as a value."""
    names = Delivery.__struct_fields__
    values = {name: getattr(row, name) for name in names}
    values |= {"kind": DeliveryKind(values["kind"]), "state": DeliveryState(values["state"])}
    return Delivery(**{**values, "payload": values["payload"].encode()})


def _row(ordinal: int, notifications: Notification) -> dict[str, object]:
    incident = notifications.incident
    message = DeliveryMessage(
        delivery_id=notifications.delivery_id, kind=notifications.kind, incident=summary_of(incident)
    )
    return {
        "delivery_id": notifications.delivery_id,
        "ordinal": ordinal,
        "receiver": notifications.receiver,
        "incident_id": incident.incident_id,
        "site_id": incident.site_id,
        "kind": notifications.kind.value,
        "payload": msgspec.json.encode(message).decode(),
        "life_safety": incident.life_safety,
        "state": DeliveryState.PENDING.value,
        "reason": "",
        "attempts": 0,
        "created_ms": notifications.at_ms,
        "due_ms": notifications.at_ms,
        "settled_ms": None,
    }
