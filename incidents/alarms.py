"""Operator alarms: what is wrong with Linli itself. One row per (code, subject), raised and cleared, never silent."""

from __future__ import annotations

import enum

import msgspec
from sqlalchemy import Connection, insert, select, update

from incidents.schema import alarms


class AlarmCode(enum.StrEnum):
    """What is wrong. Closed: the catalogues have a sentence for each."""

    FINDING_CONTRADICTS = "finding_contradicts"  # one id with two contents
    FINDING_WAITS = "finding_waits"  # its predecessor never came
    RULE_FAILED = "rule_failed"
    BATCH_UNREADABLE = "batch_unreadable"
    LOG_GAP = "log_gap"  # records were gone before they were judged
    LOG_BROKEN = "log_broken"  # the log, its snapshots or findings contradict each other
    CUT_ACCEPTED = "cut_accepted"  # rules went on from others that had not drained
    PARTITION_STOPPED = "partition_stopped"  # one position failed three times
    PARTITION_STUCK = "partition_stuck"  # the log is ahead of the rules and they do not move
    LOG_HELD = "log_held"  # the log is over its bound, but somebody has not read it yet
    ARCHIVE_GAP = "archive_gap"  # records were gone before they were archived
    DELIVERY_REJECTED = "delivery_rejected"
    DELIVERY_UNCONFIRMED = "delivery_unconfirmed"
    DELIVERY_OVERDUE = "delivery_overdue"  # its sender does not work on it
    RECEIVER_FAILING = "receiver_failing"
    RECEIVER_UNKNOWN = "receiver_unknown"  # rows for a receiver that is no longer configured
    INCIDENT_UNTOLD = "incident_untold"  # no delivery row for a receiver that should have one
    INCIDENT_UNSEEN = "incident_unseen"  # nobody has looked
    AUDIT_BROKEN = "audit_broken"
    RESULTS_AWAY = "results_away"  # their store does not answer; they wait on disk
    RESULTS_REFUSED = "results_refused"  # it takes nothing from us: credentials, database
    RESULTS_REJECTED = "results_rejected"  # it refused some for good; kept aside with the reason
    RESULTS_DROPPED = "results_dropped"  # some were lost before they were written


class Raised(msgspec.Struct, frozen=True):
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
    where = (alarms.c.code == code.value) & (alarms.c.subject == subject)
    row = connection.execute(select(alarms.c.times, alarms.c.cleared_ms).where(where)).first()
    if row is None:
        values = {"code": code.value, "subject": subject, "detail": detail, "first_ms": now_ms}
        connection.execute(insert(alarms).values(**values, last_ms=now_ms, times=1, cleared_ms=None))
        return
    again = {"detail": detail, "last_ms": now_ms, "cleared_ms": None}
    if row.cleared_ms is None:
        connection.execute(update(alarms).where(where).values(**again, times=row.times + 1))
    else:
        connection.execute(update(alarms).where(where).values(**again, first_ms=now_ms, times=1))


def clear_alarm(connection: Connection, code: AlarmCode, subject: str, now_ms: int) -> None:
    """The condition has ended; nothing happens when it was not raised."""
    where = (alarms.c.code == code.value) & (alarms.c.subject == subject) & alarms.c.cleared_ms.is_(None)
    connection.execute(update(alarms).where(where).values(cleared_ms=now_ms))


def standing_alarms(connection: Connection, limit: int = 200) -> list[Alarm]:
    """Alarms that are not cleared, newest first."""
    query = select(alarms).where(alarms.c.cleared_ms.is_(None)).order_by(alarms.c.last_ms.desc(), alarms.c.subject)
    rows = connection.execute(query.limit(limit))
    return [Alarm(AlarmCode(r.code), r.subject, r.detail, r.first_ms, r.last_ms, r.times) for r in rows]
