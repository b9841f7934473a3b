"""What people do to alerts: the alert table, with the version they saw; who came first wins and is named."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from contracts.errors import LinliError, Rejected, RejectReason
from contracts.incidents import AlertAction, AlertState, FalseAlarmReason, NotAllowed, next_alert_state
from delivery.deliveries import add_deliveries
from governance import audit
from incidents.intake.openings import update_incidents
from incidents.store.changes import add_change
from incidents.store.history import HistoryEntry, add_history, last_step
from incidents.store.records import ChangeKind, DeliveryKind, Incident, get_incident
from incidents.store.store import Store
from system.clock import Clock, wall_ms

MAX_COMMENT = 2000
HUMAN_ACTIONS = (AlertAction.SEE, AlertAction.HANDLE, AlertAction.MARK_FALSE, AlertAction.PROMOTE)
"""``retract`` belongs to the reader of findings alone."""


class VersionConflict(LinliError):  # noqa: N818 - the answer's own name
    """The incident changed after the actor looked. ``first`` is the newest step, by whom and when."""

    def __init__(self, incident: Incident, first: HistoryEntry | None) -> None:
        super().__init__(f"incident {incident.incident_id} is at version {incident.version}")
        self.incident = incident
        self.first = first


class UnknownIncident(LinliError):  # noqa: N818
    """There is no such incident."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An action that a person orders, and the version of the incident they looked at."""

    incident_id: str
    action: AlertAction
    version: int
    reason: FalseAlarmReason | None = None
    comment: str = ""


class Actions:
    """Carries out commands; each is one transaction with its history, audit entry, deliveries and change row."""

    def __init__(self, store: Store, receivers: tuple[str, ...] = (), *, clock_ms: Clock = wall_ms) -> None:
        self._store = store
        self._receivers = receivers
        self._clock_ms = clock_ms

    def act(self, actor: str, command: Command) -> Incident:
        """Do it and return the incident as it is now. The same command again by the same actor changes nothing.

        Raises:
            UnknownIncident, Conflict, NotAllowed (the table does not list it), Rejected (reason or comment wrong).
        """
        check(command)
        with self._store.write() as connection:
            before = get_incident(connection, command.incident_id)
            if before is None:
                raise UnknownIncident(command.incident_id)
            first = last_step(connection, before.incident_id)
            if _already_done(first, actor, command):
                return before
            if command.version != before.version:
                raise VersionConflict(before, first)
            return self._carry_out(connection, actor, before, command)

    def _carry_out(self, connection: Connection, actor: str, before: Incident, command: Command) -> Incident:
        now_ms = self._clock_ms()
        state = next_alert_state(before.state, command.action)
        after = msgspec.structs.replace(before, state=state, version=before.version + 1, changed_ms=now_ms)
        update_incidents(connection, [after])
        reason = command.reason.value if command.reason else None
        add_history(
            connection,
            before,
            after,
            action=command.action.value,
            actor=actor,
            now_ms=now_ms,
            reason=reason,
            comment=command.comment,
        )
        detail = {"from": before.state.value, "to": state.value, "reason": reason, "version": after.version}
        audit.record(connection, actor, f"incident.{command.action}", after.incident_id, detail, now_ms)
        kind = notification_kind(state)
        if kind is not None:
            add_deliveries(connection, self._receivers, after, kind, now_ms)
        add_change(connection, after.incident_id, after.site_id, ChangeKind.ACTED, now_ms)
        return after


def check(command: Command) -> None:
    """Raise unless the command is complete.

    Raises:
        NotAllowed: for ``retract``. Rejected: a false alarm without a reason, a reason without one, a long comment.
    """
    if command.action not in HUMAN_ACTIONS:
        raise NotAllowed(f"{command.action} is not for people")
    if (command.action is AlertAction.MARK_FALSE) != (command.reason is not None):
        raise Rejected(
            RejectReason.OUT_OF_RANGE, f"a reason is given with mark_false and only then, not {command.action}"
        )
    if len(command.comment) > MAX_COMMENT:
        raise Rejected(RejectReason.TOO_LARGE, f"comment of {len(command.comment)} characters, at most {MAX_COMMENT}")


def notification_kind(state: AlertState) -> DeliveryKind | None:
    """Return what receivers hear when a person put an alert into ``state``."""
    match state:
        case AlertState.FALSE_ALARM | AlertState.WITHDRAWN:
            return DeliveryKind.CORRECTED
        case AlertState.HANDLED | AlertState.PROMOTED:
            return DeliveryKind.CLOSED
        case AlertState.NEW | AlertState.SEEN:
            return None


def _already_done(first: HistoryEntry | None, actor: str, command: Command) -> bool:
    """Return whether the newest step is this very command: a page that lost the answer sends its command again."""
    if first is None or first.actor != actor:
        return False
    same = (first.action, first.version, first.comment) == (command.action.value, command.version + 1, command.comment)
    return same and first.reason == (command.reason.value if command.reason else None)
