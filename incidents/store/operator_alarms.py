"""Operator alarms: what is wrong with Linli itself. One row per (code, subject), raised and cleared, never silent."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, bindparam, insert, select, tuple_, update

from contracts.contradictions import Contradiction
from incidents.store.database import select_by_ids
from incidents.store.schema import alarms

_KNOWN = select(alarms).where(tuple_(alarms.c.code, alarms.c.subject).in_(bindparam("ids", expanding=True)))
_OF = (alarms.c.code == bindparam("of"), alarms.c.subject == bindparam("about"))
_AGAIN = (
    update(alarms)
    .where(*_OF)
    .values(
        detail=bindparam("said"),
        first_ms=bindparam("first"),
        last_ms=bindparam("now"),
        times=bindparam("count"),
        cleared_ms=None,
    )
)
_CLEAR = update(alarms).where(*_OF, alarms.c.cleared_ms.is_(None)).values(cleared_ms=bindparam("now"))


class AlarmCode(enum.StrEnum):
    """The code of an operator alarm. Closed: the catalogues have a sentence for each."""

    FINDING_CONTRADICTS = "finding_contradicts"  # one id with two contents; the first stands
    FINDING_WAITS = "finding_waits"  # its predecessor never came
    RULE_FAILED = "rule_failed"
    BATCH_UNREADABLE = "batch_unreadable"
    LOG_GAP = "log_gap"  # records were gone before they were judged
    LOG_BROKEN = "log_broken"  # the log and its snapshots contradict each other
    EVENTS_UNREAD = "events_unread"  # events of kinds that the rules' version does not know were passed over
    CUT_ACCEPTED = "cut_accepted"  # rules went on from others that had not drained
    NOTHING_JUDGED = "nothing_judged"  # the log, or a part of it, is not judged: nothing would be noticed
    PARTITION_STOPPED = "partition_stopped"  # one position failed three times
    PARTITION_STUCK = "partition_stuck"  # the log is ahead of the rules and they do not move
    SNAPSHOT_WAITS = "snapshot_waits"  # a site's state is too large to be kept now
    LOG_HELD = "log_held"  # the log is over its bound, but somebody has not read it yet
    ARCHIVE_GAP = "archive_gap"  # records were gone before they were archived
    DELIVERY_REJECTED = "delivery_rejected"
    DELIVERY_UNCONFIRMED = "delivery_unconfirmed"
    DELIVERY_OVERDUE = "delivery_overdue"  # its sender does not work on it
    DELIVERY_WAITS = "delivery_waits"  # the oldest news for a receiver has not arrived for long
    RECEIVER_FAILING = "receiver_failing"
    RECEIVER_UNKNOWN = "receiver_unknown"  # rows for a receiver that is no longer configured
    INCIDENT_UNTOLD = "incident_untold"  # no delivery row for a receiver that should have one
    INCIDENT_UNSEEN = "incident_unseen"  # nobody has looked
    AUDIT_BROKEN = "audit_broken"
    INVENTORY_WENT_BACK = "inventory_went_back"  # it is another one, or a copy of long ago
    STORE_DAMAGED = "store_damaged"  # a file of ours, or a part of it, cannot be trusted
    DEVICE_CLOCK_WRONG = "device_clock_wrong"  # a device's times cannot be used; its messages count as of now
    HOST_CLOCK_WRONG = "host_clock_wrong"  # the clock of ingest's machine must be wrong
    HOST_CLOCK_STEPPED = "host_clock_stepped"  # the log's time has followed a jump of it
    DEVICE_UNREADABLE = "device_unreadable"  # a device that may save lives said something that could not be read
    RESULTS_AWAY = "results_away"  # their store does not answer; they wait on disk
    RESULTS_REFUSED = "results_refused"  # it takes nothing from us: credentials, database
    RESULTS_REJECTED = "results_rejected"  # it refused some for good; kept aside with the reason
    RESULTS_DROPPED = "results_dropped"  # some were lost before they were written


class RaisedAlarm(msgspec.Struct, frozen=True):
    """An alarm as another process tells it. ``detail`` is codes and numbers, no personal data."""

    code: AlarmCode
    subject: str
    detail: str


class Alarm(msgspec.Struct, frozen=True):
    """One alarm. ``detail`` is codes and numbers, no personal data."""

    code: AlarmCode
    subject: str
    detail: str
    first_ms: int
    last_ms: int
    times: int


def raise_alarm(connection: Connection, code: AlarmCode, subject: str, detail: str, now_ms: int) -> None:
    """Raise, or count again, one alarm. After it was cleared it starts anew."""
    raise_alarms(connection, [RaisedAlarm(code, subject, detail)], now_ms)


def raise_alarms(
    connection: Connection, raised: Sequence[RaisedAlarm], now_ms: int, *, counted_after_ms: int = 0
) -> None:
    """Raise, or count again, alarms of different codes or subjects. Those that were cleared start anew.

    Args:
        counted_after_ms: one that stands, says the same and was counted less than this ago is left as it is.
    """
    keys = [(one.code.value, one.subject) for one in raised]
    known = {(row["code"], row["subject"]): row for row in select_by_ids(connection, _KNOWN, keys)}
    new, again = [], []
    for one, key in zip(raised, keys, strict=True):
        row = known.get(key)
        if row is None:
            new.append(_new_row(one, now_ms))
        elif row["cleared_ms"] is not None:
            again.append(_again(one, now_ms, first_ms=now_ms, times=1))
        elif row["detail"] != one.detail or now_ms - row["last_ms"] >= counted_after_ms:
            again.append(_again(one, now_ms, first_ms=row["first_ms"], times=row["times"] + 1))
    if new:
        connection.execute(insert(alarms), new)
    if again:
        connection.execute(_AGAIN, again)


def raise_contradictions(connection: Connection, contradictions: Sequence[Contradiction], now_ms: int) -> None:
    """Raise an alarm for each finding that was decided again with another content: one of its id, naming both."""
    latest = {one.finding_id: one for one in contradictions}
    raised = [RaisedAlarm(AlarmCode.FINDING_CONTRADICTS, of, one.detail) for of, one in latest.items()]
    raise_alarms(connection, raised, now_ms)


def clear_alarm(connection: Connection, code: AlarmCode, subject: str, now_ms: int) -> None:
    """Note that the condition has ended; do nothing when it was not raised."""
    clear_alarms(connection, [(code, subject)], now_ms)


def clear_alarms(connection: Connection, ended: Sequence[tuple[AlarmCode, str]], now_ms: int) -> None:
    """Note that the conditions have ended; do nothing about those that were not raised."""
    if ended:
        rows = [{"of": code.value, "about": subject, "now": now_ms} for code, subject in ended]
        connection.execute(_CLEAR, rows)


def standing_alarms(connection: Connection, limit: int = 200) -> list[Alarm]:
    """Return alarms that are not cleared, newest first."""
    query = select(alarms).where(alarms.c.cleared_ms.is_(None)).order_by(alarms.c.last_ms.desc(), alarms.c.subject)
    rows = connection.execute(query.limit(limit))
    return [Alarm(AlarmCode(r.code), r.subject, r.detail, r.first_ms, r.last_ms, r.times) for r in rows]


def _new_row(raised: RaisedAlarm, now_ms: int) -> dict[str, object]:
    return {
        "code": raised.code.value,
        "subject": raised.subject,
        "detail": raised.detail,
        "first_ms": now_ms,
        "last_ms": now_ms,
        "times": 1,
        "cleared_ms": None,
    }


def _again(raised: RaisedAlarm, now_ms: int, *, first_ms: int, times: int) -> dict[str, object]:
    key = {"of": raised.code.value, "about": raised.subject}
    return {**key, "said": raised.detail, "now": now_ms, "first": first_ms, "count": times}
