"""The embedded driver: one thread that feeds the day log to the engine and keeps its findings and snapshots."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from contracts.errors import Transient
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.port import EngineKeep
from streams.engine.engine import Engine
from streams.log.port import LogReader
from streams.runtime.partition_driver import READ_RECORDS, DecisionTimes, PartitionDriver
from streams.runtime.snapshot_schedule import SNAPSHOT_EVERY_S

RETRY_S = 5.0


class EmbeddedDriver:
    """Feeds one log to one engine, told when it has grown. ``on_findings`` is called after new ones are durable."""

    def __init__(
        self,
        log: LogReader,
        keep: EngineKeep,
        engine: Engine,
        *,
        on_findings: Callable[[], None] = lambda: None,
        on_alarm: Callable[[DriverAlarm, str], None] = lambda _alarm, _detail: None,
        monotonic_s: Callable[[], float] = time.monotonic,
        accept_cut: bool = False,
        times: DecisionTimes | None = None,
    ) -> None:
        self._partition = PartitionDriver(
            log,
            keep,
            engine,
            on_findings=on_findings,
            on_alarm=on_alarm,
            monotonic_s=monotonic_s,
            accept_cut=accept_cut,
            times=times,
        )
        self._on_alarm = on_alarm
        self._monotonic_s = monotonic_s
        self._saved_s = monotonic_s()
        self._more = threading.Event()

    @property
    def position(self) -> int:
        """The next position to feed."""
        return self._partition.position

    def open(self) -> None:
        """Restore and read the log to its end at this moment. See :meth:`PartitionDriver.open`."""
        self._partition.open()

    def step(self, limit: int = READ_RECORDS) -> int:
        """Feed at most ``limit`` records; how many there were. See :meth:`PartitionDriver.step`."""
        return self._partition.step(limit)

    def save(self, most_sites: int = 64) -> None:
        """Keep rows and the manifest. See :meth:`PartitionDriver.save`."""
        self._partition.save(most_sites)
        self._saved_s = self._monotonic_s()

    def wake(self) -> None:
        """Tell the driver that the log has grown; callable from any thread."""
        self._more.set()

    def run(self, stop: threading.Event) -> None:
        """Feed until ``stop`` is set; then drain: the next start reads little, and may be another version."""
        while not stop.is_set():
            self._more.clear()
            try:
                fed = self._turn()
            except Transient as error:
                self._on_alarm(DriverAlarm.STORE_BLOCKED, str(error))
                stop.wait(error.retry_after_s or RETRY_S)
                continue
            if not fed:
                self._more.wait(0.05)
        while self.step():
            pass
        self._partition.drain()

    def _turn(self) -> int:
        fed = self.step()
        if self._monotonic_s() - self._saved_s >= SNAPSHOT_EVERY_S:
            self.save()
        return fed
