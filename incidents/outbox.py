"""The outbox of one receiver: delivery row → muted? → due? → send → delivered, retry at, rejected or unconfirmed.

Every attempt is a row. News of one incident reaches a receiver in its order: a row waits while an earlier one of its
incident is unsettled. One outbox, and so one thread, per receiver: a slow one delays nobody else.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, Select, and_, exists, insert, select, update

from contracts.errors import Permanent, Transient
from contracts.hops import Hop, HopTimes
from contracts.incidents import DeliveryState
from incidents.alarms import AlarmCode, clear_alarm, raise_alarm
from incidents.backoff import Outcome, Step, after_attempt
from incidents.deliveries import Delivery, delivery_of
from incidents.profile import ReceiverProfile, mute_reason
from incidents.receivers.base import Misconfigured, Receipt, Receiver
from incidents.records import get_incident
from incidents.schema import attempts, deliveries
from incidents.store import Clock, Store, wall_ms
from incidents.traces import trace_of_incident

FAILING_AFTER = 3  # attempts of one delivery without success before the receiver counts as failing
_REACHED = (DeliveryState.DELIVERED.value, DeliveryState.UNCONFIRMED.value)
_ALARMED = {
    DeliveryState.REJECTED: AlarmCode.DELIVERY_REJECTED,
    DeliveryState.UNCONFIRMED: AlarmCode.DELIVERY_UNCONFIRMED,
}

_log = structlog.get_logger("incidents.outbox")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt came to. ``detail`` is a status or an error's name, never a body."""

    outcome: Outcome
    detail: str = ""
    retry_after_s: float | None = None


class Made(msgspec.Struct, frozen=True):
    """An attempt that was made and must still be written down."""

    delivery: Delivery
    attempt: Attempt
    started_ms: int


class Outbox:
    """Sends the rows of one receiver. An attempt that could not be written down at once is written down first of all.

    Args:
        dice: uniform in 0–1, for the jitter of retries.
        times: counts from the delivery row to its receiver's confirmation.
    """

    def __init__(
        self,
        store: Store,
        receiver: Receiver,
        profile: ReceiverProfile,
        *,
        clock_ms: Clock = wall_ms,
        dice: Callable[[], float] = random.random,
        times: HopTimes | None = None,
    ) -> None:
        self._times = times or HopTimes(Hop.INCIDENT_TO_DELIVERED)
        self._store = store
        self._receiver = receiver
        self._profile = profile
        self._clock_ms = clock_ms
        self._dice = dice
        self._made: Made | None = None

    def step(self) -> bool:
        """Work on the most urgent due row, if there is one; whether there was.

        Raises:
            Transient: the database is away.
        """
        if self._made is None:
            delivery, told = self._next()
            if delivery is None:
                return False
            if self._mute(delivery, told=told):
                return True
            started_ms = self._clock_ms()
            self._made = Made(delivery, attempt(self._receiver, delivery), started_ms)
        self._settle(self._made)
        self._made = None
        return True

    def run(self, stop: threading.Event, poll_s: float = 1.0, *, mine: Callable[[], bool] = lambda: True) -> None:
        """Work until ``stop``. Wakes on every commit, and every ``poll_s`` for rows that come due.

        Args:
            mine: asked before each row: whether this process is the one that tells the receiver.
        """
        wake = threading.Event()
        forget = self._store.bell.listen(wake.set)
        try:
            while not stop.is_set():
                wake.clear()
                while not stop.is_set() and mine() and self.step():
                    pass
                deadline = time.monotonic() + poll_s
                while not stop.is_set() and not wake.wait(0.05) and time.monotonic() < deadline:
                    pass
        finally:
            forget()

    def _next(self) -> tuple[Delivery | None, bool]:
        with self._store.read() as connection:
            row = connection.execute(due_query(self._profile.name, self._clock_ms())).first()
            if row is None:
                return None, False
            delivery = delivery_of(row)
            return delivery, was_told(connection, delivery)

    def _mute(self, delivery: Delivery, *, told: bool) -> bool:
        now_ms = self._clock_ms()
        with self._store.read() as connection:
            incident = get_incident(connection, delivery.incident_id)
        assert incident is not None, f"delivery {delivery.delivery_id} without its incident"
        reason = mute_reason(self._profile, incident, delivery.kind, told=told, now_ms=now_ms)
        if reason is None:
            return False
        with self._store.write() as connection:
            _write(connection, delivery, Step(DeliveryState.MUTED, now_ms, reason.value), delivery.attempts, now_ms)
        return True

    def _settle(self, done: Made) -> None:
        delivery, made, started_ms = done.delivery, done.attempt, done.started_ms
        now_ms, nth = self._clock_ms(), delivery.attempts + 1
        step = after_attempt(
            made.outcome,
            attempt=nth,
            now_ms=now_ms,
            created_ms=delivery.created_ms,
            give_up_ms=self._profile.give_up_ms,
            retry_after_s=made.retry_after_s,
            dice=self._dice(),
        )
        row = {"delivery_id": delivery.delivery_id, "nth": nth, "at_ms": started_ms, "took_ms": now_ms - started_ms}
        with self._store.write() as connection:
            if not _write(connection, delivery, step, nth, now_ms):
                return  # it is written already, or another process took the receiver over and wrote its own
            connection.execute(insert(attempts).values(**row, outcome=made.outcome.value, detail=made.detail))
            self._alarm(connection, delivery, made, step, nth, now_ms)
            trace = trace_of_incident(connection, delivery.incident_id)
        if made.outcome is Outcome.DELIVERED:
            self._times.add([now_ms - delivery.created_ms])
        _log.info(
            "delivery_attempt",
            trace=trace,
            delivery=delivery.delivery_id,
            incident=delivery.incident_id,
            receiver=delivery.receiver,
            nth=nth,
            outcome=made.outcome.value,
            state=step.state.value,
        )

    def _alarm(
        self, connection: Connection, delivery: Delivery, made: Attempt, step: Step, nth: int, now_ms: int
    ) -> None:
        if step.state in _ALARMED:
            detail = f"{self._profile.name}: {made.outcome} {made.detail}"
            raise_alarm(connection, _ALARMED[step.state], delivery.delivery_id, detail, now_ms)
        elif made.outcome is Outcome.DELIVERED:
            clear_alarm(connection, AlarmCode.RECEIVER_FAILING, self._profile.name, now_ms)
        elif nth >= FAILING_AFTER or made.outcome is Outcome.MISCONFIGURED:
            detail = f"{made.outcome} {made.detail}"
            raise_alarm(connection, AlarmCode.RECEIVER_FAILING, self._profile.name, detail, now_ms)


def attempt(receiver: Receiver, delivery: Delivery) -> Attempt:
    """Send once and name what it came to."""
    try:
        receipt = receiver.send(delivery)
    except Misconfigured as error:
        return Attempt(outcome=Outcome.MISCONFIGURED, detail=str(error), retry_after_s=error.retry_after_s)
    except Transient as error:
        return Attempt(outcome=Outcome.RETRY, detail=str(error), retry_after_s=error.retry_after_s)
    except Permanent as error:
        return Attempt(outcome=Outcome.REJECTED, detail=str(error))
    confirmed = receipt is Receipt.CONFIRMED
    return Attempt(outcome=Outcome.DELIVERED if confirmed else Outcome.UNREADABLE)


def due_query(receiver: str, now_ms: int) -> Select[*tuple[Any, ...]]:
    """The most urgent row to work on: life safety first, then by due time; never before its predecessor settled."""
    earlier = deliveries.alias("earlier")
    blocked = exists().where(
        and_(
            earlier.c.incident_id == deliveries.c.incident_id,
            earlier.c.receiver == receiver,
            earlier.c.state == DeliveryState.PENDING.value,
            earlier.c.ordinal < deliveries.c.ordinal,
        )
    )
    return (
        select(deliveries)
        .where(deliveries.c.receiver == receiver, deliveries.c.state == DeliveryState.PENDING.value)
        .where(deliveries.c.due_ms <= now_ms, ~blocked)
        .order_by(deliveries.c.life_safety.desc(), deliveries.c.due_ms, deliveries.c.ordinal)
        .limit(1)
    )


def was_told(connection: Connection, delivery: Delivery) -> bool:
    """Whether an earlier delivery of the incident reached the receiver."""
    table = deliveries.c
    query = select(table.delivery_id).where(
        table.incident_id == delivery.incident_id,
        table.receiver == delivery.receiver,
        table.state.in_(_REACHED),
    )
    return connection.execute(query.limit(1)).first() is not None


def _write(connection: Connection, delivery: Delivery, step: Step, made: int, now_ms: int) -> bool:
    """Whether the row is still what ``delivery`` says; then it is what ``step`` says."""
    settled = None if step.state is DeliveryState.PENDING else now_ms
    values = {"state": step.state.value, "due_ms": step.due_ms, "reason": step.reason, "attempts": made}
    same = (deliveries.c.state == delivery.state.value) & (deliveries.c.attempts == delivery.attempts)
    where = (deliveries.c.delivery_id == delivery.delivery_id) & same
    return connection.execute(update(deliveries).where(where).values(**values, settled_ms=settled)).rowcount == 1
