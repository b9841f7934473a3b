"""When each device was last heard: told by whoever writes the log here, or by following it from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from contracts.batch import Batch, decode_batch
from contracts.errors import LogBroken, Rejected
from contracts.events import CONFIG_SOURCE, INGEST_SOURCE, DeviceReported, DeviceStateChanged, Event
from inventory.directory import Heard
from streams.log.port import LogReader, LogRecord, LogWriter

LOOK_BACK_MS = 10 * 60_000
"""How far back a follower begins: most devices speak within it, and a day's log would take minutes to read."""
_READ_RECORDS = 500
_ROUND_S = 2.0
"""From one look into the logs to the next: a page shows minutes, and a look costs the same for one record or many."""


class HeardTable:
    """The console's :class:`inventory.directory.DeviceHealth`, kept in memory.

    After a start, devices show as not heard until they speak.
    """

    def __init__(self) -> None:
        self._sites: dict[str, dict[str, Heard]] = {}

    def heard(self, site_id: str) -> Mapping[str, Heard]:
        """See :class:`inventory.directory.DeviceHealth`."""
        return dict(self._sites.get(site_id, {}))

    def hear(self, batch: Batch) -> None:
        """Note what the events of ``batch`` say of their devices' lives."""
        for event in batch.events:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if event.source_id in {CONFIG_SOURCE, INGEST_SOURCE}:
            return
        devices = self._sites.setdefault(event.site_id, {})
        devices[event.source_id] = heard_after(devices.get(event.source_id, Heard()), event)
        if event.spool is not None and event.spool.box_id != event.source_id:
            devices[event.spool.box_id] = heard_after(devices.get(event.spool.box_id, Heard()), event, itself=False)


class HeardLog(HeardTable):
    """A :class:`streams.log.port.LogWriter` around another one: it wakes the driver, and hears what is written."""

    def __init__(self, log: LogWriter, on_append: Callable[[], None]) -> None:
        super().__init__()
        self._log = log
        self._on_append = on_append

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append, then tell whoever reads."""
        positions = self._log.append(batches)
        self._on_append()
        for batch in batches:
            self.hear(batch)
        return positions

    def last_watermark_ms(self) -> int:
        """See :class:`streams.log.port.LogWriter`."""
        return self._log.last_watermark_ms()


class HeardFollower(HeardTable):
    """Follows logs that other processes write, from ten minutes before the start on. It judges nothing."""

    def __init__(self, logs: Sequence[LogReader], since_ms: int) -> None:
        super().__init__()
        self._logs = logs
        self._since_ms = since_ms
        self._positions: dict[int, int] = {}

    def step(self) -> bool:
        """Hear what came since the last step, up to a bound a log; whether one of them has more.

        Raises:
            Transient: a log is away.
        """
        more = [self._follow(number, log) for number, log in enumerate(self._logs)]
        return any(more)

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``."""
        while not stop.is_set():
            if not self.step():
                stop.wait(_ROUND_S)

    def _follow(self, number: int, log: LogReader) -> bool:
        try:
            if number not in self._positions:
                self._positions[number] = first_since(log, self._since_ms)
            records = log.read(self._positions[number], _READ_RECORDS)
        except LogBroken:  # retention was faster, or it is another log now; the engine is who raises an alarm
            self._positions[number] = log.begin()
            return False
        for record in records:
            batch = _batch(record)
            if batch is not None:
                self.hear(batch)
        self._positions[number] += len(records)
        return len(records) == _READ_RECORDS


def first_since(log: LogReader, since_ms: int) -> int:
    """The first position whose watermark says ``since_ms`` or later, give or take records that say nothing of time."""
    low, high = log.begin(), log.end()
    while low < high:
        middle = (low + high) // 2
        records = log.read(middle, 1)
        batch = _batch(records[0]) if records else None
        if batch is not None and batch.watermark_ms < since_ms:
            low = middle + 1
        else:
            high = middle
    return low


def heard_after(before: Heard, event: Event, *, itself: bool = True) -> Heard:
    """What is known of a device after ``event``; ``itself`` False when it only carried another device's words."""
    last_ms = max(before.last_heard_ms or 0, event.received_ms)
    if itself and isinstance(event, DeviceStateChanged):
        return Heard(last_ms, event.online, before.healthy)
    if itself and isinstance(event, DeviceReported):
        return Heard(last_ms, online=True, healthy=event.healthy)
    return Heard(last_ms, online=True, healthy=before.healthy)


def _batch(record: LogRecord) -> Batch | None:
    try:
        return decode_batch(record.data)
    except Rejected:  # the engine says so, as a finding
        return None
