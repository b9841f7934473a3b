"""The log as its writer sees it here: it wakes the driver, and remembers when each device was last heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from contracts.batch import Batch
from contracts.events import CONFIG_SOURCE, INGEST_SOURCE, DeviceReported, DeviceStateChanged, Event
from incidents.directory import Heard
from streams.log import LogWriter


class HeardLog:
    """A :class:`streams.log.LogWriter` around another one, and the console's :class:`incidents.directory.DeviceHealth`.

    What was heard is kept in memory: after a start, devices show as not heard until they speak.
    """

    def __init__(self, log: LogWriter, on_append: Callable[[], None]) -> None:
        self._log = log
        self._on_append = on_append
        self._sites: dict[str, dict[str, Heard]] = {}

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append, then tell whoever reads."""
        positions = self._log.append(batches)
        self._on_append()
        for batch in batches:
            for event in batch.events:
                self._hear(event)
        return positions

    def last_watermark_ms(self) -> int:
        """See :class:`streams.log.LogWriter`."""
        return self._log.last_watermark_ms()

    def heard(self, site_id: str) -> Mapping[str, Heard]:
        """See :class:`incidents.directory.DeviceHealth`."""
        return dict(self._sites.get(site_id, {}))

    def _hear(self, event: Event) -> None:
        if event.source_id in {CONFIG_SOURCE, INGEST_SOURCE}:
            return
        devices = self._sites.setdefault(event.site_id, {})
        devices[event.source_id] = heard_after(devices.get(event.source_id, Heard()), event)
        if event.spool is not None and event.spool.box_id != event.source_id:
            devices[event.spool.box_id] = heard_after(devices.get(event.spool.box_id, Heard()), event, itself=False)


def heard_after(before: Heard, event: Event, *, itself: bool = True) -> Heard:
    """What is known of a device after ``event``; ``itself`` False when it only carried another device's words."""
    last_ms = max(before.last_heard_ms or 0, event.received_ms)
    if itself and isinstance(event, DeviceStateChanged):
        return Heard(last_ms, event.online, before.healthy)
    if itself and isinstance(event, DeviceReported):
        return Heard(last_ms, online=True, healthy=event.healthy)
    return Heard(last_ms, online=True, healthy=before.healthy)
