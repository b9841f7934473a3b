"""What people must hear of a partition's driver, though it goes on."""

from __future__ import annotations

import enum


class DriverAlarm(enum.StrEnum):
    """The troubles of a driver. Closed: each is an operator alarm or a log line of the process, never a finding."""

    LOG_GAP = "log_gap"  # records that were never judged are gone from the log
    LOG_BROKEN = "log_broken"  # the log and its snapshots contradict each other
    FINDING_CONTRADICTS = "finding_contradicts"  # one id with two contents; the first stands
    EVENTS_UNREAD = "events_unread"  # events of kinds that this version does not know were passed over
    CUT_ACCEPTED = "cut_accepted"  # a version went on from another that had not drained
    STORE_BLOCKED = "store_blocked"  # findings wait, since their store cannot be written
    PARTITION_STOPPED = "partition_stopped"  # one position failed three times
    PARTITION_STUCK = "partition_stuck"  # the log is ahead and the position does not move
    SNAPSHOT_WAITS = "snapshot_waits"  # a site's row is too large to be kept; said again while it is
