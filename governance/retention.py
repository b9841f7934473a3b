"""What is kept how long, class by class (docs/retention.md). Each turn is told its time, deletes, looks that it is
gone, and writes what it did into the audit log: counts and hashes, nobody's data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

from contracts.durations import DAY_MS
from contracts.errors import Permanent
from governance import audit
from governance.audit_notes import delete_old_notes
from governance.audit_retention import prune_audit
from governance.holds import held_now
from governance.incident_retention import (
    AT_ONCE,
    delete_closed_incidents,
    delete_expired,
    delete_waiting_findings,
)
from incidents.store.operator_alarms import AlarmCode, clear_alarm, raise_alarm
from incidents.store.store import Store
from inventory.inventory import Inventory
from streams.archive.archive import Archive
from streams.archive.catalogue import Segment
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from streams.log.sqlite.days import day_begin_ms, plan_days, utc_day
from system.clock import wall_ms

LOG = structlog.get_logger("linli")
EVERY_S = 3600.0
ASK_S = 30.0  # how soon another process sees that nobody does it any more
ACTOR = "linli"

Keeper = Callable[[int], object]
"""One class's turn; it is given the time, epoch ms UTC."""


class LogRetention:
    """Days of the embedded log, and what rests on them in ``engine.db``.

    Args:
        readers: who reads the log, and the first position each still needs.
        taken: the number of the last finding that every reader of findings has taken.
        digest: of the rules in force.
    """

    def __init__(
        self,
        log: DayLog,
        engine_store: SqliteCheckpointStore,
        store: Store,
        *,
        digest: str,
        days: int,
        max_bytes: int,
        readers: Mapping[str, Callable[[], int]],
        taken: Callable[[], int],
    ) -> None:
        self._log, self._engine_store, self._store = log, engine_store, store
        self._digest, self._days, self._max_bytes = digest, days, max_bytes
        self._readers, self._taken = readers, taken

    def __call__(self, now_ms: int) -> None:
        """Take one turn."""
        plan = plan_days(
            self._log.days(),
            oldest_day=utc_day(now_ms - self._days * DAY_MS),
            max_bytes=self._max_bytes,
            needed_from={name: needed() for name, needed in self._readers.items()},
            begin=self._log.begin(),
        )
        gone = self._log.drop_before(plan.before)
        there = {day.name for day in self._log.days()}
        findings = self._engine_store.forget_before(self._log.begin(), self._taken())
        rows = self._engine_store.forget_rows_of_others(self._digest)
        with self._store.write() as connection:
            for day in gone:
                detail = {"bytes": day.size_bytes, "end": day.end, "verified": day.name not in there}
                audit.record(connection, ACTOR, "retention.log", day.name, detail, now_ms)
            if findings or rows:
                detail = {"findings": findings, "snapshots": rows, "before": self._log.begin()}
                audit.record(connection, ACTOR, "retention.engine", "engine.db", detail, now_ms)
            if plan.held_by:
                said = f"{plan.held_days} days, read by {plan.held_by}"
                raise_alarm(connection, AlarmCode.LOG_HELD, self._log.identity(), said, now_ms)
            else:
                clear_alarm(connection, AlarmCode.LOG_HELD, self._log.identity(), now_ms)


class SegmentRetention:
    """Segments of the archive. A hold on a site, or on one of its incidents, keeps all of the site's segments.

    Args:
        days: how long; ``site_days`` says it for sites that differ.
    """

    def __init__(self, archive: Archive, store: Store, *, days: int, site_days: Mapping[str, int]) -> None:
        self._archive, self._store = archive, store
        self._days, self._site_days = days, site_days

    def __call__(self, now_ms: int) -> None:
        """Take one turn."""
        with self._store.read() as connection:
            held = held_now(connection)
        sites = set(held.sites) | {hold.site_id for hold in held.incidents.values()}
        for segment in self._archive.catalogue.segments():
            if segment.head.site_id not in sites and self._is_over(segment, now_ms):
                self._archive.delete(segment)
                detail: audit.Detail = {"sha256": segment.sha256, "events": segment.events, "bytes": segment.size_bytes}
                with self._store.write() as connection:
                    audit.record(connection, ACTOR, "retention.segment", segment.name, detail, now_ms)

    def _is_over(self, segment: Segment, now_ms: int) -> bool:
        days = self._site_days.get(segment.head.site_id, self._days)
        return day_begin_ms(segment.head.day) + (days + 1) * DAY_MS <= now_ms


class IncidentRetention:
    """Closed incidents, sessions, alarms, and the oldest of the audit log."""

    def __init__(self, store: Store, *, days: int) -> None:
        self._store, self._days = store, days

    def __call__(self, now_ms: int) -> None:
        """Take one turn."""
        while True:
            with self._store.write() as connection:
                gone = delete_closed_incidents(connection, now_ms - self._days * DAY_MS, now_ms)
            if gone.incidents < AT_ONCE:
                break
        with self._store.write() as connection:
            delete_waiting_findings(connection, now_ms - self._days * DAY_MS, now_ms)
            delete_expired(connection, now_ms)
            delete_old_notes(connection, now_ms - self._days * DAY_MS, held_now(connection))
        with self._store.write() as connection:
            prune_audit(connection, now_ms)


class InventoryRetention:
    """Replaced versions of the inventory's rows, and visitors' registrations that have ended; both by age."""

    def __init__(self, inventory: Inventory, store: Store, *, days: int) -> None:
        self._inventory, self._store, self._days = inventory, store, days

    def __call__(self, now_ms: int) -> None:
        """Take one turn."""
        before_ms = now_ms - self._days * DAY_MS
        with self._store.read() as connection:
            held = held_now(connection)
        sites = set(held.sites) | {hold.site_id for hold in held.incidents.values()}
        changes = self._inventory.forget_history(before_ms, sites)
        if changes:
            with self._store.write() as connection:
                detail: audit.Detail = {"changes": changes, "before_ms": before_ms}
                audit.record(connection, ACTOR, "retention.inventory", "inventory", detail, now_ms)


class Retention:
    """Gives every keeper its turn, each hour."""

    def __init__(self, keepers: Mapping[str, Keeper], *, clock_ms: Callable[[], int] = wall_ms) -> None:
        self._keepers, self._clock_ms = keepers, clock_ms

    def step(self) -> None:
        """Take one turn of each.

        Raises:
            Transient: a store cannot be written now; the next turn does it.
        """
        now_ms = self._clock_ms()
        for name, keeper in self._keepers.items():
            try:
                keeper(now_ms)
            except Permanent as error:  # one class must not stop the others; it says so each hour
                LOG.error("retention_failed", of=name, error=str(error))

    def run(self, stop: threading.Event, every_s: float = EVERY_S, *, mine: Callable[[], bool] = lambda: True) -> None:
        """Run at once, then every hour until ``stop``, while ``mine`` says that this process is the one that does."""
        while not stop.is_set():
            if mine():
                self.step()
                stop.wait(every_s)
            else:
                stop.wait(min(ASK_S, every_s))
