"""The log of one partition as measurements: devices, power, the first hops. Pure: a function of the log and its state.

Time is the log's own: a minute or five close when the watermark passes their end, so batching, restarts and speed
change nothing. Power goes by the time of the samples; a quarter hour that late ones reach is written again, for
seven days. The state is rows of bytes that the caller keeps together with the position, and hands back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import msgspec

from contracts.batch import Batch, shift_of
from contracts.durations import DAY_MS, MINUTE_MS
from contracts.events import (
    CONFIG_SOURCE,
    INGEST_SOURCE,
    DeviceConfigured,
    DeviceReported,
    DeviceStateChanged,
    Event,
    PowerSampled,
)
from contracts.hops import Hop
from contracts.places import Place
from streams.results.histogram import LatencyHistogram
from streams.results.points import FieldValue, Point, hop_point, point
from streams.results.power import QUARTER_MS, Quarter, circuit_of, quarter_of

DEVICES_MS = 300_000
LATE_MS = 7 * DAY_MS
"""How late a sample may come and still be added to its quarter hour: as long as the log is kept by default."""
_NEVER_MS = 1 << 62
_NO_DEVICE = frozenset({CONFIG_SOURCE, INGEST_SOURCE})
_TO_ACCEPTED, _TO_DURABLE = Hop.DEVICE_TO_ACCEPTED.value, Hop.ACCEPTED_TO_DURABLE.value


class InventoryLookup(Protocol):
    """The inventory, as far as results need it; unknown ids give None."""

    def device(self, site_id: str, device_id: str) -> DeviceConfigured | None:
        """Return one device."""
        ...

    def devices(self, site_id: str) -> list[DeviceConfigured]:
        """Return the site's devices."""
        ...

    def place(self, site_id: str, place_id: str) -> Place | None:
        """Return one place."""
        ...


class SiteAccumulator(msgspec.Struct):
    """The open aggregates of one site. ``counts``: class → (events, stored)."""

    heard: set[str] = msgspec.field(default_factory=set)
    offline: set[str] = msgspec.field(default_factory=set)
    unhealthy: set[str] = msgspec.field(default_factory=set)
    counts: dict[str, list[int]] = msgspec.field(default_factory=dict)
    hops: dict[str, LatencyHistogram] = msgspec.field(default_factory=dict)


class PartitionAccumulator(msgspec.Struct):
    """The open aggregates of a partition. ``quarters``: those to be written when they close, key → beginning."""

    time_ms: int = 0
    sites: dict[str, SiteAccumulator] = msgspec.field(default_factory=dict)
    quarters: dict[str, int] = msgspec.field(default_factory=dict)
    too_late: int = 0


class LogMeasures:
    """Folds batches in the order of the log.

    Args:
        name: of the partition's row of state.
        book: who and where devices are, as it is now: a consent withdrawn is withdrawn from what is still to be read.
        load: a row of state kept before, or None.
    """

    def __init__(self, name: str, book: InventoryLookup, load: Callable[[str], bytes | None]) -> None:
        self._name = name
        self._book = book
        self._load = load
        kept = load(name)
        self._open = msgspec.msgpack.decode(kept, type=PartitionAccumulator) if kept else PartitionAccumulator()
        self._quarters: dict[str, Quarter] = {}
        self._changed: dict[str, Quarter] = {}

    @property
    def time_ms(self) -> int:
        """How far the log's time has come."""
        return self._open.time_ms

    @property
    def too_late(self) -> int:
        """Samples that came more than seven days late and are in no quarter hour."""
        return self._open.too_late

    def feed(self, batch: Batch, durable_ms: int | None = None) -> list[Point]:
        """Return the points that are complete with this batch.

        Args:
            durable_ms: when the log says that the record was kept, epoch ms, where it says so.
        """
        now_ms = batch.watermark_ms or max((event.received_ms for event in batch.events), default=0)
        ended: list[Point] = []
        if shift_of(batch):  # the log's time moves: what was begun on the old one ends here
            ended, self._open.time_ms = self._close_quarters(_NEVER_MS), now_ms
        for event in batch.events:
            self._take(event, durable_ms)
        before_ms, self._open.time_ms = self._open.time_ms, max(self._open.time_ms, now_ms)
        return [*ended, *self._close(before_ms, self._open.time_ms)]

    def rows(self) -> dict[str, bytes]:
        """Return the rows of state that changed since the last call, to be kept with the position."""
        found = {key: msgspec.msgpack.encode(quarter) for key, quarter in self._changed.items()}
        self._changed.clear()
        self._quarters = {key: q for key, q in self._quarters.items() if key in self._open.quarters}
        found[self._name] = msgspec.msgpack.encode(self._open)
        return found

    def _take(self, event: Event, durable_ms: int | None) -> None:
        if event.source_id in _NO_DEVICE:
            return
        site = self._open.sites.get(event.site_id)
        if site is None:
            site = self._open.sites[event.site_id] = SiteAccumulator()
        device = self._book.device(event.site_id, event.source_id)
        self._count(site, event, device)
        if not event.stored:
            _histogram(site, _TO_ACCEPTED).add(event.received_ms - event.at_ms)
        if durable_ms is not None:
            _histogram(site, _TO_DURABLE).add(durable_ms - event.received_ms)
        if isinstance(event, PowerSampled):
            self._sample(event, device)

    def _count(self, site: SiteAccumulator, event: Event, device: DeviceConfigured | None) -> None:
        if device is None:
            return
        name = device.device_class.value
        counts = site.counts.get(name)
        if counts is None:
            counts = site.counts[name] = [0, 0]
        counts[0] += 1
        counts[1] += event.stored
        site.heard.add(event.source_id)
        if event.spool is not None:
            site.heard.add(event.spool.box_id)
        if isinstance(event, DeviceStateChanged):
            _mark(site.offline, event.source_id, marked=not event.online)
        else:
            site.offline.discard(event.source_id)
        if isinstance(event, DeviceReported):
            _mark(site.unhealthy, event.source_id, marked=not event.healthy)

    def _sample(self, event: PowerSampled, device: DeviceConfigured | None) -> None:
        place = self._book.place(event.site_id, device.place_id) if device is not None else None
        circuit = circuit_of(device, place)
        if circuit is None:
            return
        bucket_ms = quarter_of(event.at_ms)
        if bucket_ms < self._open.time_ms - LATE_MS:
            self._open.too_late += 1
            return
        key = quarter_key(bucket_ms, event.site_id)
        quarter = self._quarter(key)
        if quarter.add(circuit, event):
            self._changed[key] = quarter
            self._open.quarters[key] = bucket_ms

    def _quarter(self, key: str) -> Quarter:
        quarter = self._quarters.get(key)
        if quarter is None:
            kept = self._load(key)
            quarter = msgspec.msgpack.decode(kept, type=Quarter) if kept else Quarter()
            self._quarters[key] = quarter
        return quarter

    def _close(self, before_ms: int, now_ms: int) -> list[Point]:
        found: list[Point] = []
        if before_ms and before_ms // MINUTE_MS < now_ms // MINUTE_MS:
            minute_ms = before_ms - before_ms % MINUTE_MS
            for site_id, site in sorted(self._open.sites.items()):
                found += [
                    hop_point(site_id, Hop(hop), histogram, minute_ms) for hop, histogram in sorted(site.hops.items())
                ]
                site.hops.clear()
            found += self._close_quarters(now_ms)
        if before_ms and before_ms // DEVICES_MS < now_ms // DEVICES_MS:
            for site_id, site in sorted(self._open.sites.items()):
                found += self._devices(site_id, site, before_ms - before_ms % DEVICES_MS)
                site.heard.clear()
                site.counts.clear()
        return found

    def _close_quarters(self, now_ms: int) -> list[Point]:
        found: list[Point] = []
        due = sorted(key for key, ms in self._open.quarters.items() if ms + QUARTER_MS + MINUTE_MS <= now_ms)
        for key in due:
            bucket_ms = self._open.quarters.pop(key)
            found += self._quarter(key).points(key.rpartition("/")[2], bucket_ms)
        return found

    def _devices(self, site_id: str, site: SiteAccumulator, at_ms: int) -> list[Point]:
        classes: dict[str, list[str]] = {}
        for device in self._book.devices(site_id):
            classes.setdefault(device.device_class.value, []).append(device.device_id)
        return [
            point("devices", {"site": site_id, "class": name}, _health(site, name, ids), at_ms)
            for name, ids in sorted(classes.items())
        ]


@lru_cache(maxsize=4_096)
def quarter_key(bucket_ms: int, site_id: str) -> str:
    """Return the name of the row of state of a site's quarter hour."""
    return f"power/{bucket_ms:013d}/{site_id}"


def _health(site: SiteAccumulator, device_class: str, ids: list[str]) -> dict[str, FieldValue]:
    events, stored = site.counts.get(device_class, (0, 0))
    return {
        "known": len(ids),
        "heard": len(site.heard.intersection(ids)),
        "offline": len(site.offline.intersection(ids)),
        "unhealthy": len(site.unhealthy.intersection(ids)),
        "events": events,
        "stored": stored,
    }


def _histogram(site: SiteAccumulator, hop: str) -> LatencyHistogram:
    histogram = site.hops.get(hop)
    if histogram is None:  # a new one to be thrown away costs more than all else that is done with an event
        histogram = site.hops[hop] = LatencyHistogram()
    return histogram


def _mark(marked_ids: set[str], device_id: str, *, marked: bool) -> None:
    if marked:
        marked_ids.add(device_id)
    else:
        marked_ids.discard(device_id)
