"""What a receiver is to be told now, with what decides whether it is: read in batches."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, and_, bindparam, exists, or_, select

from contracts.incidents import DeliveryState
from delivery.backoff import LONGEST_MS
from delivery.deliveries import Delivery, delivery_of
from delivery.profiles import FOLLOW_UPS, MuteReason, ReceiverProfile, mute_reason
from incidents.store.database import select_by_ids
from incidents.store.records import incident_of
from incidents.store.schema import deliveries, incidents
from incidents.store.trace_ids import trace_of_incident

MOST_AT_ONCE = 32
AHEAD_MS = 60_000
"""Clocks of several processes differ by less."""

_REACHED = (DeliveryState.DELIVERED.value, DeliveryState.UNCONFIRMED.value)
_EARLIER = deliveries.alias("earlier")
_BLOCKED = exists().where(
    and_(
        _EARLIER.c.incident_id == deliveries.c.incident_id,
        _EARLIER.c.receiver == bindparam("to"),
        _EARLIER.c.state == DeliveryState.PENDING.value,
        _EARLIER.c.ordinal < deliveries.c.ordinal,
    )
)
_OF_A_CLOCK_AHEAD = and_(deliveries.c.created_ms > bindparam("ahead"), deliveries.c.due_ms > bindparam("beyond"))
"""Rows that were made before they can have been, and are due later than any back-off: the machine's clock went back."""
_IS_DUE = deliveries.c.due_ms <= bindparam("now")
_PENDING = (
    select(deliveries)
    .where(deliveries.c.receiver == bindparam("to"), deliveries.c.state == DeliveryState.PENDING.value)
    .where(~_BLOCKED)
    .order_by(deliveries.c.life_safety.desc(), deliveries.c.due_ms, deliveries.c.ordinal)
    .limit(MOST_AT_ONCE)
)
"""The most urgent rows to work on: life safety first, then by due time; never before their predecessors settled, so at
most one of an incident.
"""
_DUE, _DUE_OR_AHEAD = _PENDING.where(_IS_DUE), _PENDING.where(or_(_IS_DUE, _OF_A_CLOCK_AHEAD))
"""The second one reads all that waits: PostgreSQL uses the index by time for the first one only."""

_TOLD = (
    select(deliveries.c.incident_id)
    .distinct()
    .where(
        deliveries.c.incident_id.in_(bindparam("ids", expanding=True)),
        deliveries.c.receiver == bindparam("to"),
        deliveries.c.state.in_(_REACHED),
    )
)
_INCIDENTS = select(incidents).where(incidents.c.incident_id.in_(bindparam("ids", expanding=True)))


class DueDelivery(msgspec.Struct, frozen=True):
    """A row to work on: why it is muted, or None; else the trace of its incident, for the log."""

    delivery: Delivery
    muted: MuteReason | None
    trace: str = ""


def due_rows(
    connection: Connection, profile: ReceiverProfile, now_ms: int, *, of_clocks_ahead: bool
) -> list[DueDelivery]:
    """Return the most urgent rows of a receiver, at most :data:`MOST_AT_ONCE` and one of an incident.

    Args:
        connection: of a transaction.
        profile: of the receiver.
        now_ms: the wall clock.
        of_clocks_ahead: look also for rows of a time when a clock was ahead.
    """
    times: dict[str, str | int] = {"to": profile.name, "now": now_ms}
    if of_clocks_ahead:
        times |= {"ahead": now_ms + AHEAD_MS, "beyond": now_ms + LONGEST_MS}
    rows = [delivery_of(row) for row in connection.execute(_DUE_OR_AHEAD if of_clocks_ahead else _DUE, times)]
    ids = [row.incident_id for row in rows]
    following = [row.incident_id for row in rows if row.kind in FOLLOW_UPS]
    found = {row["incident_id"]: incident_of(row) for row in select_by_ids(connection, _INCIDENTS, ids)}
    told = {row["incident_id"] for row in select_by_ids(connection, _TOLD, following, to=profile.name)}
    due = []
    for row in rows:
        told_of_it = row.incident_id in told
        muted = mute_reason(profile, found[row.incident_id], row.kind, told=told_of_it, now_ms=now_ms)
        due.append(DueDelivery(row, muted, "" if muted else trace_of_incident(connection, row.incident_id)))
    return due
