"""The outbox of one receiver: delivery rows → muted? → due? → send → delivered, retry at, rejected or unconfirmed.

Rows that are due are read together, sent one after another, and what came of them is written down together, since a
transaction costs as much as several rows in it. Every attempt is a row. News of one incident reaches a receiver in its
order: a row waits while an earlier one of its incident is unsettled. One outbox, and so one thread, per receiver: a
slow one delays nobody else.

A process that dies between sending and writing down has told its receiver up to :data:`delivery.due.MOST_AT_ONCE`
rows, or those of :data:`BEGIN_FOR_S` and one attempt, that are told again: with the same keys, of which a receiver
counts each once.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog
from sqlalchemy import Connection, bindparam, insert, select, update

from contracts.errors import Permanent, Transient
from contracts.hops import Hop, HopTimes
from contracts.incidents import DeliveryState
from delivery.backoff import AttemptOutcome, DeliveryStep, after_attempt, longest_ms
from delivery.deliveries import Delivery
from delivery.due import DueDelivery, due_rows
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receipt, Receiver, ReceiverMisconfigured
from incidents.store.database import select_by_ids
from incidents.store.operator_alarms import AlarmCode, clear_alarm, raise_alarm
from incidents.store.schema import attempts, deliveries
from incidents.store.store import Store
from system.clock import Clock, wall_ms

FAILING_AFTER = 3  # attempts of one delivery without success before the receiver counts as failing
BEGIN_FOR_S = 0.25
"""Attempts that begin within so long are written down together: what waits meanwhile, life safety too, waits no longer
than that and one attempt.
"""

WIDE_EVERY_MS = 10_000
"""How often rows of a time when a clock was ahead are looked for: that look reads all that waits."""

_ALARMED = {
    DeliveryState.REJECTED: AlarmCode.DELIVERY_REJECTED,
    DeliveryState.UNCONFIRMED: AlarmCode.DELIVERY_UNCONFIRMED,
}

_AS_IS = select(deliveries.c.delivery_id, deliveries.c.state, deliveries.c.attempts).where(
    deliveries.c.delivery_id.in_(bindparam("ids", expanding=True))
)
_WRITE = (
    update(deliveries)
    .where(deliveries.c.delivery_id == bindparam("of"))
    .values({name: bindparam(f"new_{name}") for name in ("state", "due_ms", "reason", "attempts", "settled_ms")})
)

_log = structlog.get_logger("delivery.outbox")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one attempt. ``detail`` is a status or an error's name, never a body."""

    outcome: AttemptOutcome
    detail: str = ""
    retry_after_s: float | None = None


class CompletedAttempt(msgspec.Struct, frozen=True):
    """An attempt that was made and must still be written down. ``step``: where that leaves its delivery."""

    due: DueDelivery
    attempt: Attempt
    step: DeliveryStep
    nth: int
    started_ms: int
    ended_ms: int


class Outbox:
    """Sends the rows of one receiver. Attempts that could not be written down at once are written down first of all.

    Args:
        jitter: uniform in 0–1, for the jitter of retries.
        times: counts from the delivery row to its receiver's confirmation.
    """

    def __init__(
        self,
        store: Store,
        receiver: Receiver,
        profile: ReceiverProfile,
        *,
        clock_ms: Clock = wall_ms,
        jitter: Callable[[], float] = random.random,
        times: HopTimes | None = None,
    ) -> None:
        self._times = times or HopTimes(Hop.INCIDENT_TO_DELIVERED)
        self._store = store
        self._receiver = receiver
        self._profile = profile
        self._clock_ms = clock_ms
        self._jitter = jitter
        self._made: list[CompletedAttempt] = []
        self._wide_ms: int | None = None

    def step(self, going: Callable[[], bool] = lambda: True) -> int:
        """Work on the most urgent due rows; on how many.

        Args:
            going: asked before each attempt but the first; the rest is for another step, or another process.

        Raises:
            Transient: the database is away.
        """
        muted: list[DueDelivery] = []
        if not self._made:
            due = self._due(self._clock_ms())
            muted = [one for one in due if one.muted]
            self._send([one for one in due if not one.muted], going)
        if muted or self._made:
            self._write_down(muted)
        worked, self._made = len(muted) + len(self._made), []
        return worked

    def run(self, stop: threading.Event, poll_s: float = 1.0, *, mine: Callable[[], bool] = lambda: True) -> None:
        """Work until ``stop``. Wakes on every commit, and every ``poll_s`` for rows that come due.

        Args:
            mine: asked before each attempt: whether this process is the one that tells the receiver.
        """
        wake = threading.Event()
        forget = self._store.commit_signal.subscribe(wake.set)
        try:
            while not stop.is_set():
                wake.clear()
                if mine():
                    self.step(lambda: not stop.is_set() and mine())  # what it writes wakes it again, for what is left
                deadline = time.monotonic() + poll_s
                while not stop.is_set() and not wake.wait(0.05) and time.monotonic() < deadline:
                    pass
        finally:
            forget()

    def _due(self, now_ms: int) -> list[DueDelivery]:
        """Return what is due; of a clock that was ahead at times, when this one went back, and while there is any."""
        wide = self._wide_ms is None or not 0 <= now_ms - self._wide_ms < WIDE_EVERY_MS
        with self._store.read() as connection:
            due = due_rows(connection, self._profile, now_ms, of_clocks_ahead=wide)
        if wide:
            self._wide_ms = None if any(one.delivery.due_ms > now_ms for one in due) else now_ms
        return due

    def _send(self, due: Sequence[DueDelivery], going: Callable[[], bool]) -> None:
        end_s = time.monotonic() + BEGIN_FOR_S
        for nth, one in enumerate(due):
            if nth and (time.monotonic() > end_s or not going()):
                break
            started_ms = self._clock_ms()
            self._made.append(self._after(one, attempt(self._receiver, one.delivery), started_ms))

    def _after(self, due: DueDelivery, made: Attempt, started_ms: int) -> CompletedAttempt:
        now_ms, nth = self._clock_ms(), due.delivery.attempts + 1
        step = after_attempt(
            made.outcome,
            attempt=nth,
            now_ms=now_ms,
            created_ms=due.delivery.created_ms,
            give_up_ms=self._profile.give_up_ms,
            retry_after_s=made.retry_after_s,
            jitter=self._jitter(),
            longest_ms=longest_ms(life_safety=due.delivery.life_safety),
        )
        return CompletedAttempt(due, made, step, nth, started_ms, now_ms)

    def _write_down(self, muted: Sequence[DueDelivery]) -> None:
        now_ms = self._clock_ms()
        with self._store.write() as connection:
            # Another process that took the receiver over may have written its own of some meanwhile.
            same = _unchanged(connection, [one.delivery for one in [*muted, *(made.due for made in self._made)]])
            made = [one for one in self._made if one.due.delivery.delivery_id in same]
            rows = [_muted_row(one, now_ms) for one in muted if one.delivery.delivery_id in same]
            rows += [_delivery_row(one) for one in made]
            if rows:
                connection.execute(_WRITE, rows)
            if made:
                connection.execute(insert(attempts), [_attempt_row(one) for one in made])
            self._alarm(connection, made)
        self._times.add([one.ended_ms - one.due.delivery.created_ms for one in made if _arrived(one)])
        for one in made:
            _tell(one)

    def _alarm(self, connection: Connection, made: Sequence[CompletedAttempt]) -> None:
        name, cleared = self._profile.name, False
        for one in made:
            detail = f"{one.attempt.outcome} {one.attempt.detail}"
            if one.step.state in _ALARMED:
                code, subject = _ALARMED[one.step.state], one.due.delivery.delivery_id
                raise_alarm(connection, code, subject, f"{name}: {detail}", one.ended_ms)
            elif _arrived(one):
                if not cleared:
                    clear_alarm(connection, AlarmCode.RECEIVER_FAILING, name, one.ended_ms)
                cleared = True
            elif one.nth >= FAILING_AFTER or one.attempt.outcome is AttemptOutcome.MISCONFIGURED:
                raise_alarm(connection, AlarmCode.RECEIVER_FAILING, name, detail, one.ended_ms)
                cleared = False


def attempt(receiver: Receiver, delivery: Delivery) -> Attempt:
    """Send once and name what it came to."""
    try:
        receipt = receiver.send(delivery)
    except ReceiverMisconfigured as error:
        return Attempt(outcome=AttemptOutcome.MISCONFIGURED, detail=str(error), retry_after_s=error.retry_after_s)
    except Transient as error:
        return Attempt(outcome=AttemptOutcome.RETRY, detail=str(error), retry_after_s=error.retry_after_s)
    except Permanent as error:
        return Attempt(outcome=AttemptOutcome.REJECTED, detail=str(error))
    confirmed = receipt is Receipt.CONFIRMED
    return Attempt(outcome=AttemptOutcome.DELIVERED if confirmed else AttemptOutcome.UNREADABLE)


def _unchanged(connection: Connection, rows: Sequence[Delivery]) -> set[str]:
    """Return the keys of those whose rows are still what they were when they were read."""
    were = {row.delivery_id: (row.state.value, row.attempts) for row in rows}
    now = select_by_ids(connection, _AS_IS, list(were))
    return {row["delivery_id"] for row in now if were[row["delivery_id"]] == (row["state"], row["attempts"])}


def _muted_row(due: DueDelivery, now_ms: int) -> dict[str, object]:
    assert due.muted is not None
    return _row(due.delivery, DeliveryStep(DeliveryState.MUTED, now_ms, due.muted.value), due.delivery.attempts, now_ms)


def _delivery_row(made: CompletedAttempt) -> dict[str, object]:
    return _row(made.due.delivery, made.step, made.nth, made.ended_ms)


def _row(delivery: Delivery, step: DeliveryStep, attempts_: int, now_ms: int) -> dict[str, object]:
    return {
        "of": delivery.delivery_id,
        "new_state": step.state.value,
        "new_due_ms": step.due_ms,
        "new_reason": step.reason,
        "new_attempts": attempts_,
        "new_settled_ms": None if step.state is DeliveryState.PENDING else now_ms,
    }


def _attempt_row(made: CompletedAttempt) -> dict[str, object]:
    return {
        "delivery_id": made.due.delivery.delivery_id,
        "nth": made.nth,
        "at_ms": made.started_ms,
        "took_ms": made.ended_ms - made.started_ms,
        "outcome": made.attempt.outcome.value,
        "detail": made.attempt.detail,
    }


def _arrived(made: CompletedAttempt) -> bool:
    return made.attempt.outcome is AttemptOutcome.DELIVERED


def _tell(made: CompletedAttempt) -> None:
    delivery = made.due.delivery
    _log.info(
        "delivery_attempt",
        trace=made.due.trace,
        delivery=delivery.delivery_id,
        incident=delivery.incident_id,
        receiver=delivery.receiver,
        nth=made.nth,
        outcome=made.attempt.outcome.value,
        state=made.step.state.value,
    )
