"""The rules of one machine, beside its log in the process that writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from app.wiring.engine import engine_of, shown_times
from app.wiring.metrics_server import Metrics
from contracts.contradictions import Contradiction
from contracts.erasure import ReferenceKey
from contracts.errors import Transient
from incidents.store.operator_alarms import AlarmCode, raise_alarm, raise_contradictions
from incidents.store.store import Store
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from streams.runtime.embedded import EmbeddedDriver
from streams.runtime.judged_watch import JudgedPartition
from streams.runtime.partition_driver import PartitionDriver
from system.clock import wall_ms

LOG = structlog.get_logger("linli")


class EmbeddedRules:
    """The rules of one machine, in the process that writes its log.

    Args:
        log: what they judge.
        engine_store: what they found and where they are.
        incidents: where operators' alarms are raised.
        metrics: shows what is counted here.
        reference_key: by which references that were erased are recognised.
        on_findings: told when there are new ones.
        accept_cut: go on from a version of the rules that was not ended in order.
    """

    def __init__(
        self,
        log: DayLog,
        engine_store: SqliteCheckpointStore,
        incidents: Store,
        metrics: Metrics,
        *,
        reference_key: ReferenceKey,
        on_findings: Callable[[], None],
        accept_cut: bool,
    ) -> None:
        self._log, self._engine_store, self._incidents = log, engine_store, incidents
        self._engine = engine_of(log.identity(), reference_key)
        self.partition = PartitionDriver(
            log,
            engine_store,
            self._engine,
            on_findings=on_findings,
            times=shown_times(metrics),
            on_alarm=self._alarm,
            on_contradiction=self._contradicted,
            accept_cut=accept_cut,
        )
        self.driver = EmbeddedDriver(self.partition)
        metrics.add_figures(self.figures)

    @property
    def digest(self) -> str:
        """Of the rules in force."""
        return self._engine.digest

    def needed_from(self) -> int:
        """Return the first position of the log that they still need."""
        return self._engine_store.needed_from(self.digest)

    def judged(self) -> Mapping[int, JudgedPartition]:
        """Return where the one partition stands.

        Raises:
            Transient: what the rules find cannot be kept now.
        """
        if self.driver.blocked:
            raise Transient(self.driver.blocked)
        return {0: JudgedPartition(self.partition.position, self._log.end())}

    def figures(self) -> Mapping[str, float]:
        """Return what stands at this moment."""
        counts = self._engine.counts
        return {
            "records_behind": self._log.end() - self.partition.position,
            "events_judged": counts.events,
            "events_doubled": counts.duplicates,
            "events_unread": self.partition.unread.count,
            "ids_reused": counts.ids_reused,
            "events_late": counts.late,
            "thresholds_passed_over": counts.thresholds_passed_over,
            "windows_to_judge_again": self._engine_store.rejudge_count(),
        }

    def _contradicted(self, contradiction: Contradiction) -> None:
        LOG.error(AlarmCode.FINDING_CONTRADICTS.value, detail=contradiction.detail)
        with self._incidents.write() as connection:
            raise_contradictions(connection, [contradiction], wall_ms())

    def _alarm(self, alarm: DriverAlarm, detail: str) -> None:
        LOG.error(alarm.value, detail=detail)
        if alarm is not DriverAlarm.STORE_BLOCKED:  # on the page too; a store that is blocked may well be this one
            with self._incidents.write() as connection:
                raise_alarm(connection, AlarmCode(alarm), self._log.identity(), detail, wall_ms())
