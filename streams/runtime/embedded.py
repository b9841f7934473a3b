"""The embedded driver: one thread that feeds the day log to the engine and keeps its findings and snapshots."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from contracts.errors import Transient
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.snapshot_schedule import SNAPSHOT_EVERY_S

RETRY_S = 5.0


class EmbeddedDriver:
    """Works one partition in a thread of this process, and sleeps until told that its log has grown.

    Args:
        partition: opened before :meth:`run`; what it raises that may pass goes to its alarms.
    """

    def __init__(self, partition: PartitionDriver, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._partition = partition
        self._monotonic_s = monotonic_s
        self._saved_s = monotonic_s()
        self._more = threading.Event()
        self.blocked = ""  # what kept the last turn from being kept; what is found meanwhile reaches nobody

    def wake(self) -> None:
        """Tell the driver that the log has grown; callable from any thread."""
        self._more.set()

    def run(self, stop: threading.Event) -> None:
        """Feed until ``stop`` is set; then drain: the next start reads little, and may be another version."""
        while not stop.is_set():
            self._more.clear()
            try:
                fed = self._turn()
                self.blocked = ""
            except Transient as error:
                self.blocked = str(error)
                self._partition.on_alarm(DriverAlarm.STORE_BLOCKED, str(error))
                stop.wait(error.retry_after_s or RETRY_S)
                continue
            if not fed:
                self._more.wait(0.05)
        while self._partition.step():
            pass
        self._partition.drain()

    def _turn(self) -> int:
        fed = self._partition.step()
        if self._monotonic_s() - self._saved_s >= SNAPSHOT_EVERY_S:
            self._partition.save()
            self._saved_s = self._monotonic_s()
        return fed
