"""The stuck-work monitor: finds deliveries, incidents and findings on which nothing is planned any more; raises an
alarm for each.

It looks from outside the code that should have done the step, and clears its own alarms when the condition has ended.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, exists, or_, select

from contracts.durations import DAY_MS, HOUR_MS, MINUTE_MS
from contracts.errors import Transient
from contracts.findings import Severity
from contracts.incidents import AlertState, DeliveryState
from delivery.deliveries import add_deliveries
from evidence.store import expire_evidence
from governance.audit import AuditChain
from incidents.store.changes import prune
from incidents.store.operator_alarms import (
    AlarmCode,
    RaisedAlarm,
    clear_alarm,
    clear_alarms,
    raise_alarm,
    raise_alarms,
    standing_alarms,
)
from incidents.store.records import DeliveryKind, Incident, get_incident, incident_of
from incidents.store.schema import deliveries, findings, incidents
from incidents.store.store import Store
from system.clock import Clock, wall_ms

OVERDUE_MS = 60_000  # a healthy outbox takes a due row within a second; its longest attempt is some ten
WAITING_MS = 60_000
UNDELIVERED_MS = 15 * MINUTE_MS
UNDELIVERED_LIFE_SAFETY_MS = 2 * MINUTE_MS
"""News that is older has not arrived, whatever is planned for it: a receiver may be asking for patience for days."""
CHANGES_KEPT_MS = 7 * DAY_MS
COUNTED_AFTER_MS = 60_000  # what stays stuck is counted again each minute, not at each look: there may be hundreds
CHAIN_EVERY_MS = HOUR_MS
LIFE_SAFETY_UNSEEN_MS = 60_000
UNSEEN_MS = {
    Severity.CRITICAL: 5 * 60_000,
    Severity.MAJOR: 60 * 60_000,
    Severity.MINOR: DAY_MS,
    Severity.INFO: 7 * DAY_MS,
}
"""How long an incident may stay ``new`` before it counts as forgotten."""

_LIMIT = 500
_RECEIVERS = select(deliveries.c.receiver).where(deliveries.c.receiver > bindparam("after"))
_NEXT_RECEIVER = _RECEIVERS.order_by(deliveries.c.receiver).limit(1)
_OVERDUE = (
    select(deliveries.c.delivery_id, deliveries.c.due_ms)
    .where(deliveries.c.receiver == bindparam("to"), deliveries.c.state == DeliveryState.PENDING.value)
    .where(deliveries.c.due_ms < bindparam("before"))
    .order_by(deliveries.c.due_ms)
    .limit(1)
)
_OLDEST = (
    select(deliveries.c.delivery_id, deliveries.c.created_ms)
    .where(deliveries.c.receiver == bindparam("to"), deliveries.c.state == DeliveryState.PENDING.value)
    .where(
        or_(
            deliveries.c.created_ms < bindparam("before"),
            and_(deliveries.c.life_safety, deliveries.c.created_ms < bindparam("urgent_before")),
        )
    )
    .order_by(deliveries.c.life_safety.desc(), deliveries.c.created_ms)
    .limit(1)
)
_OWN = (
    AlarmCode.DELIVERY_WAITS,
    AlarmCode.DELIVERY_OVERDUE,
    AlarmCode.INCIDENT_UNTOLD,
    AlarmCode.INCIDENT_UNSEEN,
    AlarmCode.FINDING_WAITS,
    AlarmCode.RECEIVER_UNKNOWN,
)
Told = Callable[[], Sequence[tuple[str, str]]]
"""Gives (subject, detail) of what lasts and another room knows; Transient when that is away."""


PASSING_MS = 7 * DAY_MS
PASSING = (
    AlarmCode.FINDING_CONTRADICTS,
    AlarmCode.RULE_FAILED,
    AlarmCode.BATCH_UNREADABLE,
    AlarmCode.LOG_GAP,
    AlarmCode.ARCHIVE_GAP,
    AlarmCode.EVENTS_UNREAD,
    AlarmCode.LOG_BROKEN,
    AlarmCode.CUT_ACCEPTED,
    AlarmCode.INVENTORY_WENT_BACK,
    AlarmCode.PARTITION_STOPPED,
    AlarmCode.PARTITION_STUCK,
    AlarmCode.DELIVERY_REJECTED,
    AlarmCode.DELIVERY_UNCONFIRMED,
)
"""What happened rather than lasts: nothing can fix it, so it is cleared a week after it happened last."""

REPEATED_MS = {AlarmCode.SNAPSHOT_WAITS: 5 * MINUTE_MS}
"""What whoever sees it says again while it lasts; it is over when it was not said for so long."""


class StuckWorkMonitor:
    """Looks over the whole database.

    What it can fix, it fixes: a receiver without a row for a live incident (it was configured later) gets one; the
    alarm is raised all the same, and cleared at the next look.

    Args:
        receivers: the names that are configured, as given to the intake.
        told: what other rooms know, by the alarm that it is; raised while it is told, and then cleared.
    """

    def __init__(
        self,
        store: Store,
        receivers: Sequence[str] = (),
        *,
        told: Mapping[AlarmCode, Told] | None = None,
        clock_ms: Clock = wall_ms,
    ) -> None:
        self._told = told or {}
        self._store = store
        self._receivers = tuple(receivers)
        self._clock_ms = clock_ms
        self._chain_due_ms, self._chain = 0, AuditChain()

    def step(self) -> list[RaisedAlarm]:
        """Look once: raise an alarm for everything stuck, clear those that have ended, expire and prune."""
        now_ms = self._clock_ms()
        if now_ms >= self._chain_due_ms:
            self._check_chain(now_ms)
        told, heard = self._ask()
        with self._store.write() as connection:
            expire_evidence(connection, now_ms)
            prune(connection, now_ms - CHANGES_KEPT_MS)
            stuck = [*find_stuck(connection, self._receivers, now_ms), *told]
            raise_alarms(connection, stuck, now_ms, counted_after_ms=COUNTED_AFTER_MS)
            for item in stuck:
                if item.code is AlarmCode.INCIDENT_UNTOLD:
                    _tell(connection, item, now_ms)
            self._clear(connection, stuck, {*_OWN, *heard}, now_ms)
        return stuck

    def run(self, stop: threading.Event, every_s: float = 10.0, *, mine: Callable[[], bool] = lambda: True) -> None:
        """Look every ``every_s`` until ``stop``, while ``mine`` says that this process is the one that does."""
        while not stop.wait(every_s):
            if mine():
                self.step()

    def _ask(self) -> tuple[list[RaisedAlarm], list[AlarmCode]]:
        """Return what other rooms tell, and the codes of those that answered: the others' alarms stay as they are."""
        raised, heard = [], []
        for code, tell in self._told.items():
            try:
                raised += [RaisedAlarm(code, subject, detail) for subject, detail in tell()]
            except Transient:
                continue
            heard.append(code)
        return raised, heard

    def _check_chain(self, now_ms: int) -> None:
        """Look at the audit log every hour, outside the transaction that writes."""
        self._chain_due_ms = now_ms + CHAIN_EVERY_MS
        with self._store.read() as connection:
            number = self._chain.first_broken(connection)
        with self._store.write() as connection:
            if number is None:
                clear_alarm(connection, AlarmCode.AUDIT_BROKEN, "audit_log", now_ms)
            else:
                raise_alarm(connection, AlarmCode.AUDIT_BROKEN, "audit_log", f"entry {number}", now_ms)

    def _clear(self, connection: Connection, stuck: list[RaisedAlarm], own: Collection[AlarmCode], now_ms: int) -> None:
        standing = {(item.code, item.subject) for item in stuck}
        ended = []
        for alarm in standing_alarms(connection, limit=10 * _LIMIT):
            over = alarm.code in own and (alarm.code, alarm.subject) not in standing
            if over or alarm.last_ms < now_ms - _ends_after_ms(alarm.code):
                ended.append((alarm.code, alarm.subject))
        clear_alarms(connection, ended, now_ms)


def _ends_after_ms(code: AlarmCode) -> float:
    """Return after how long an alarm that is not raised again is over by itself."""
    return PASSING_MS if code in PASSING else REPEATED_MS.get(code, math.inf)


def find_stuck(connection: Connection, receivers: Sequence[str], now_ms: int) -> list[RaisedAlarm]:
    """Return everything on which nothing is planned any more, at most 500 of a kind."""
    return [
        *_overdue(connection, receivers, now_ms),
        *_untold(connection, receivers),
        *_unseen(connection, now_ms),
        *_waiting(connection, now_ms),
    ]


def is_forgotten(incident: Incident, now_ms: int) -> bool:
    """Return whether a new incident has waited too long for a person."""
    limit_ms = LIFE_SAFETY_UNSEEN_MS if incident.life_safety else UNSEEN_MS[incident.severity]
    return incident.state is AlertState.NEW and now_ms - incident.opened_ms > limit_ms


def _overdue(connection: Connection, receivers: Sequence[str], now_ms: int) -> list[RaisedAlarm]:
    # One alarm per receiver: a sender that hangs would otherwise fill the table with its backlog. Receivers are found
    # one after another, and of each the row that waits longest, so that an index says it however many rows there are.
    stuck, receiver = [], ""
    while (receiver := connection.execute(_NEXT_RECEIVER, {"after": receiver}).scalar() or "") != "":
        row = connection.execute(_OVERDUE, {"to": receiver, "before": now_ms - OVERDUE_MS}).first()
        if row is not None:
            code = AlarmCode.DELIVERY_OVERDUE if receiver in receivers else AlarmCode.RECEIVER_UNKNOWN
            stuck.append(RaisedAlarm(code, receiver, f"{row.delivery_id} since {row.due_ms}"))
        if receiver in receivers:
            stuck += _undelivered(connection, receiver, now_ms)
    return stuck


def _undelivered(connection: Connection, receiver: str, now_ms: int) -> list[RaisedAlarm]:
    ages = {"before": now_ms - UNDELIVERED_MS, "urgent_before": now_ms - UNDELIVERED_LIFE_SAFETY_MS}
    row = connection.execute(_OLDEST, {"to": receiver, **ages}).first()
    if row is None:
        return []
    return [RaisedAlarm(AlarmCode.DELIVERY_WAITS, receiver, f"{row.delivery_id} since {row.created_ms}")]


def _untold(connection: Connection, receivers: Sequence[str]) -> list[RaisedAlarm]:
    found = []
    live = incidents.c.state.in_((AlertState.NEW.value, AlertState.SEEN.value))
    for receiver in receivers:
        row = exists().where(deliveries.c.incident_id == incidents.c.incident_id, deliveries.c.receiver == receiver)
        ids = connection.execute(select(incidents.c.incident_id).where(live, ~row).limit(_LIMIT)).scalars()
        found += [RaisedAlarm(AlarmCode.INCIDENT_UNTOLD, f"{incident_id}/{receiver}", "") for incident_id in ids]
    return found


def _tell(connection: Connection, untold: RaisedAlarm, now_ms: int) -> None:
    incident_id, _, receiver = untold.subject.partition("/")
    incident = get_incident(connection, incident_id)
    if incident is not None:
        add_deliveries(connection, [receiver], incident, DeliveryKind.OPENED, now_ms)


def _unseen(connection: Connection, now_ms: int) -> list[RaisedAlarm]:
    query = select(incidents).where(incidents.c.state == AlertState.NEW.value).order_by(incidents.c.opened_ms)
    rows = [incident_of(row) for row in connection.execute(query.limit(_LIMIT)).mappings()]
    return [
        RaisedAlarm(AlarmCode.INCIDENT_UNSEEN, incident.incident_id, f"{incident.number} {incident.scenario}")
        for incident in rows
        if is_forgotten(incident, now_ms)
    ]


def _waiting(connection: Connection, now_ms: int) -> list[RaisedAlarm]:
    late = findings.c.applied.is_(False) & (findings.c.taken_ms < now_ms - WAITING_MS)
    query = select(findings.c.finding_id, findings.c.open_id, findings.c.nth).where(late).limit(_LIMIT)
    rows = connection.execute(query)
    return [RaisedAlarm(AlarmCode.FINDING_WAITS, r.finding_id, f"{r.open_id} number {r.nth}") for r in rows]
