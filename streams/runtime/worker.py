"""The partitions that one process owns for now: opened, fed from deliveries, saved, drained, dropped.

A delivery comes on the event loop and is fed there. What must wait for brokers (opening, filling a gap, keeping rows)
runs in threads. What is delivered meanwhile is buffered, and fed when the loop has the partition again; were it read
from the log, more would come while it is read, and a busy partition would never again be fed from deliveries. What is
too much to buffer is read from the log.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import structlog

from contracts.errors import LogBroken, Transient
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.runtime.partition_driver import PartitionDriver, PartitionStopped
from streams.runtime.progress import PartitionProgress
from streams.runtime.snapshot_schedule import SNAPSHOT_EVERY_S

LOG = structlog.get_logger("linli")
QUIET_S = 2.0  # no delivery for so long: compare with the log's end (docs/protocol.md#reading-on)
SAVE_EVERY_S = 1.0
TICK_S = 0.2
THREADS = 8
RETRY_S = 1.0
LOOK_AGAIN_S = 15.0
"""After so long a partition that has stopped is opened again: a person may have skipped the record."""
MAX_BUFFERED_BYTES = 1024 * 1024
"""How much a partition may have waiting."""
LEAVE_S = 5.0
"""How long a partition that is being opened or filled may take to come to an end when the worker drains."""


class DeliveredRecord(msgspec.Struct, frozen=True):
    """A record that has been delivered; ``written_ms`` is when it was written (0: not known)."""

    position: int
    data: bytes
    written_ms: int


class OwnedPartition:
    """One partition. ``offloaded``: a thread has the driver."""

    def __init__(self, number: int, driver: PartitionDriver, now_s: float) -> None:
        self.number = number
        self.driver = driver
        self.offloaded: asyncio.Task[None] | None = None
        self.saving: asyncio.Task[None] | None = None
        self.begun = self.opened = False
        self.missed = False
        self._waiting: list[DeliveredRecord] = []
        self._waiting_bytes = 0
        self.stopped = ""
        self.opened_s = 0.0  # how long opening took
        self.heard_s = self.saved_s = self.checked_s = self.not_before_s = now_s

    def buffer(self, delivery: DeliveredRecord) -> None:
        """Keep it for when the loop has the driver again; too much at once is better read from the log."""
        self._waiting.append(delivery)
        self._waiting_bytes += len(delivery.data)
        if self._waiting_bytes > MAX_BUFFERED_BYTES:
            self.take_buffered()
            self.missed = True

    def take_buffered(self) -> list[DeliveredRecord]:
        """Return the buffered records, and empty the buffer."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return waiting

    def idle(self) -> bool:
        """Return whether the loop may use the driver."""
        return self.offloaded is None and self.opened and not self.stopped


class PartitionWorker:
    """Every method belongs to one event loop. The first error of any partition ends :meth:`run`.

    Args:
        make_driver: a new driver for a partition, not opened.
        on_alarm: told what people must hear of a partition.
    """

    def __init__(
        self,
        make_driver: Callable[[int], PartitionDriver],
        *,
        on_alarm: Callable[[int, DriverAlarm, str], None] = lambda _partition, _alarm, _detail: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_driver = make_driver
        self._on_alarm = on_alarm
        self._monotonic_s = monotonic_s
        self._owned: dict[int, OwnedPartition] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="partition")
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._draining = False
        self._said_stopped: dict[int, str] = {}

    def assigned(self, partitions: Iterable[int]) -> None:
        """Open these: they, and no others, are ours from now on."""
        if self._draining:
            return
        ours = set(partitions)
        self.revoked(self._owned.keys() - ours)
        for number in sorted(ours - self._owned.keys()):
            self._begin(number)

    def revoked(self, partitions: Iterable[int]) -> None:
        """Drop everything of these: they are no longer ours. What a thread still does to one is of no account."""
        for number in list(partitions):
            owned = self._owned.pop(number, None)
            if owned is not None:
                owned.driver.abandoned = True

    def delivered(self, partition: int, position: int, data: bytes, written_ms: int = 0) -> None:
        """Feed a record, fill the gap before it, or buffer it."""
        owned = self._owned.get(partition)
        if owned is None or self._draining or self._failure.done():
            return
        owned.heard_s = self._monotonic_s()
        if not owned.idle():
            owned.buffer(DeliveredRecord(position, data, written_ms))
        elif position > owned.driver.position:
            self._offload(owned, functools.partial(owned.driver.deliver, position, data, written_ms))
        else:
            self._guarded(owned, lambda: owned.driver.deliver(position, data, written_ms))

    async def run(self) -> None:
        """Save in turns and look for what was not delivered, until an error ends it.

        Raises:
            Exception: whatever a partition raised: the process must end.
        """
        while True:
            await asyncio.wait([self._failure], timeout=TICK_S)
            if self._failure.done():
                self._failure.result()
            for owned in list(self._owned.values()):
                self._look_after(owned)

    async def drain(self) -> None:
        """Take no more deliveries, save every site of every partition and mark each as drained.

        See docs/protocol.md#versions.

        Raises:
            Exception: of a partition that could not be drained; the others were.
        """
        self._draining = True
        busy = [task for owned in self._owned.values() for task in (owned.offloaded, owned.saving) if task is not None]
        if busy:
            await asyncio.wait(busy, timeout=LEAVE_S)
        ready = [owned for owned in self._owned.values() if owned.idle()]
        loop = asyncio.get_running_loop()
        drained = await asyncio.gather(
            *(loop.run_in_executor(self._threads, owned.driver.drain) for owned in ready), return_exceptions=True
        )
        for error in drained:
            if error is not None:
                raise error

    def progress(self) -> dict[int, PartitionProgress]:
        """Return where each partition stands; the log's end is not looked up here."""
        return {
            number: PartitionProgress(
                owned.driver.position, -1, owned.driver.watermark_ms, owned.stopped, queued=not owned.begun
            )
            for number, owned in list(self._owned.items())
        }

    def owned(self) -> list[OwnedPartition]:
        """Return the partitions, to be looked at only."""
        return list(self._owned.values())

    def opened(self) -> bool:
        """Return whether each of our partitions is open, or stopped until a person decides."""
        return all(owned.opened or owned.stopped for owned in self._owned.values())

    def _begin(self, number: int) -> None:
        owned = self._owned[number] = OwnedPartition(number, self._make_driver(number), self._monotonic_s())
        self._offload(owned, functools.partial(self._open, owned))

    def _open(self, owned: OwnedPartition) -> None:
        owned.begun = True
        started_s = self._monotonic_s()
        owned.driver.open()
        owned.opened, owned.opened_s = True, self._monotonic_s() - started_s

    def _look_after(self, owned: OwnedPartition) -> None:
        now_s = self._monotonic_s()
        if self._draining or owned.offloaded is not None or now_s < owned.not_before_s:
            return  # while we drain, a row saved in its turn would take the drained mark away again
        if not owned.opened or owned.stopped:
            self.revoked([owned.number])  # opened anew: brokers may answer now, a person may have said how to go on
            self._begin(owned.number)
        elif owned.missed or now_s - owned.heard_s >= QUIET_S:
            owned.missed, owned.heard_s = False, now_s
            self._offload(owned, owned.driver.catch_up)
        elif owned.saving is None and now_s - owned.saved_s >= SAVE_EVERY_S:
            self._guarded(owned, lambda: self._save(owned, now_s))

    def _save(self, owned: OwnedPartition, now_s: float) -> None:
        driver = owned.driver
        sites = driver.sites_due(now_s - owned.saved_s)
        if sites is None:
            return
        saving = driver.prepare(sites)
        owned.saved_s = now_s
        if saving is None:
            return
        checking = now_s - owned.checked_s >= SNAPSHOT_EVERY_S
        owned.checked_s = now_s if checking else owned.checked_s

        def keep() -> None:
            if checking:
                driver.check(saving)
            driver.commit(saving)

        owned.saving = asyncio.ensure_future(self._in_thread(owned, keep))
        owned.saving.add_done_callback(lambda _task: setattr(owned, "saving", None))

    def _offload(self, owned: OwnedPartition, work: Callable[[], object]) -> None:
        owned.offloaded = asyncio.ensure_future(self._in_thread(owned, work))
        owned.offloaded.add_done_callback(lambda _task: self._resume(owned))

    def _resume(self, owned: OwnedPartition) -> None:
        """Feed what came meanwhile, or read the log when that is not all: the loop has the driver again."""
        owned.offloaded = None
        waiting = owned.take_buffered()
        waits = self._monotonic_s() < owned.not_before_s
        if not owned.idle() or waits or self._draining or owned.driver.abandoned:
            owned.missed = owned.missed or bool(waiting)
        elif owned.missed:
            owned.missed = False
            self._offload(owned, owned.driver.catch_up)
        else:
            for one in waiting:
                self.delivered(owned.number, one.position, one.data, one.written_ms)

    async def _in_thread(self, owned: OwnedPartition, work: Callable[[], object]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except Exception as error:  # noqa: BLE001 - the boundary of a partition: the process ends, loudly
            self._failed(owned, error)

    def _guarded(self, owned: OwnedPartition, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - as above; raised into the stream library it would be swallowed
            self._failed(owned, error)

    def _failed(self, owned: OwnedPartition, error: Exception) -> None:
        now_s = self._monotonic_s()
        if owned.driver.abandoned:
            LOG.info("abandoned_partition", partition=owned.number, error=str(error))
        elif isinstance(error, Transient):
            LOG.warning("partition_waits", partition=owned.number, reason=str(error))
            owned.missed, owned.not_before_s = True, now_s + (error.retry_after_s or RETRY_S)
        elif isinstance(error, PartitionStopped):
            owned.stopped, owned.not_before_s = str(error), now_s + LOOK_AGAIN_S
            if self._said_stopped.get(owned.number) != owned.stopped:
                self._on_alarm(owned.number, DriverAlarm.PARTITION_STOPPED, owned.stopped)
            self._said_stopped[owned.number] = owned.stopped
        elif not self._failure.done():
            LOG.error("partition_failed", partition=owned.number, error=repr(error))
            if isinstance(error, LogBroken):
                self._on_alarm(owned.number, DriverAlarm.LOG_BROKEN, str(error))
            self._failure.set_exception(error)
