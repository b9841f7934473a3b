"""When a partition's next record is written, and what is in it. Pure: time comes in, cuts come out.

See docs/protocol.md#batches.

One append is in flight at most. Events collect from the first one at rest, 50 ms or what :func:`collect_ms` says, and
as long as an append is in flight; a full batch or a life-safety event goes as soon as it may. A watermark that moved
and that no event carries gets an empty record, every 250 ms for five minutes after the partition's last event, then
every second; after 100 ms while time has not passed the last event, and at once when it has just passed a life-safety
event. A shard cuts its partitions together (:func:`cut_together`): one request to the log instead of many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

import msgspec

from contracts.batch import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Batch
from contracts.event_times import restamp
from contracts.events import AnyEvent, is_life_safety

COLLECT_MS = 50
MAX_COLLECT_MS = 200
PROVE_BEAT_MS = 100
"""Rules wait for the time behind an event; a record more costs little where events make records anyway."""
BUSY_BEAT_MS = 250
QUIET_BEAT_MS = 1_000
BUSY_FOR_MS = 300_000
_OVERHEAD_BYTES = 64  # version, partition, watermark and the array's head

R = TypeVar("R")


class _Item(msgspec.Struct, Generic[R]):
    """One accepted event and what to do when it is durable; an event-less item only waits for those before it."""

    event: AnyEvent | None
    receipt: R
    size: int
    mark_ms: int  # the watermark in force once this item is in the log


class BatchCut(msgspec.Struct, Generic[R]):
    """One record to append (None: nothing to write) and the receipts that its durability settles."""

    batch: Batch | None
    receipts: list[R]


class Batcher(Generic[R]):
    """The open end of one partition.

    Args:
        partition: its number.
        now_ms: ingest time.
        collect_ms: how long events collect at rest.
        offset_ms: the log's time less that of ``now_ms``, which never jumps.
    """

    def __init__(self, partition: int, now_ms: int, collect_ms: int = COLLECT_MS, offset_ms: int = 0) -> None:
        self.partition, self._offset_ms = partition, offset_ms
        self._collect_ms = collect_ms
        self._items: deque[_Item[R]] = deque()
        self._bytes = 0
        self._first_ms = 0
        self._urgent = False
        self._in_flight = False
        self._mark_ms = 0
        self._written_mark_ms = 0
        self._last_event_ms, self._seen = now_ms, False
        self._last_mark_cut_ms = now_ms
        self._awaited_ms = 0  # a mark from here on passes a life-safety event
        self._encoder = msgspec.msgpack.Encoder()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def in_flight(self) -> bool:
        """Whether an append of this partition is under way."""
        return self._in_flight

    def add(self, event: AnyEvent, receipt: R, now_ms: int) -> None:
        """Take an accepted event; ``receipt`` comes back in the cut that holds it."""
        self._push(event, receipt, len(self._encoder.encode(event)), now_ms)
        self._last_event_ms, self._seen = now_ms, True
        if is_life_safety(event):
            self._urgent, self._awaited_ms = True, now_ms

    def follow(self, receipt: R, now_ms: int) -> None:
        """Take a receipt that is settled once everything added before it is durable."""
        self._push(None, receipt, 0, now_ms)

    def shift(self, by_ms: int, told: Sequence[AnyEvent], receipt: R, now_ms: int) -> None:
        """Move the log's time: what is not cut yet lies on the new time, behind the events that tell of it."""
        self._offset_ms += by_ms
        waiting, self._items = self._items, deque()
        self._bytes = 0
        for event in told:
            self.add(event, receipt, now_ms)
        for item in self._items if waiting else ():
            item.mark_ms = self._written_mark_ms  # what waits was received before the newest mark
        for item in waiting:
            moved = None if item.event is None else restamp(item.event, by_ms)
            self._items.append(_Item(moved, item.receipt, item.size, item.mark_ms))
            self._bytes += item.size
        self._urgent = any(item.event is not None and is_life_safety(item.event) for item in self._items)

    def mark(self, watermark_ms: int) -> None:
        """Note that everything received up to ``watermark_ms`` was added: what is cut from here on may say so."""
        self._mark_ms = max(self._mark_ms, watermark_ms)
        if self._items:
            self._items[-1].mark_ms = self._mark_ms

    def due_ms(self, now_ms: int) -> int | None:
        """Return when to call :meth:`cut` next; None while an append is in flight or there is nothing to say."""
        if self._in_flight:
            return None
        if self._hurries():
            return now_ms
        if self._items:
            return self._first_ms + self._collect_ms
        if self._mark_ms <= self._written_mark_ms:
            return None
        return self._last_mark_cut_ms + self._beat_ms(now_ms)

    def cut(self, now_ms: int, ahead_ms: int = 0) -> BatchCut[R] | None:
        """Return the next record, if one is due, or will be in ``ahead_ms``; in flight until :meth:`appended`."""
        due_ms = self.due_ms(now_ms)
        if due_ms is None or due_ms > now_ms + ahead_ms:
            return None
        return self._cut(now_ms)

    def calls_others(self, now_ms: int) -> bool:
        """Return whether a record is due of the kind that others go along with: one that nobody hurries for."""
        due_ms = self.due_ms(now_ms)
        return due_ms is not None and due_ms <= now_ms and not self._hurries()

    def drain(self, now_ms: int) -> BatchCut[R] | None:
        """Cut whatever waits, due or not: this is the end."""
        return self._cut(now_ms) if self._items and not self._in_flight else None

    def appended(self) -> None:
        """Note that the cut under way is durable."""
        self._in_flight = False

    def _hurries(self) -> bool:
        """Return whether what waits may not collect any longer."""
        if not self._items:
            return self._written_mark_ms < self._awaited_ms <= self._mark_ms
        full = len(self._items) >= MAX_BATCH_EVENTS or self._bytes >= MAX_BATCH_BYTES - _OVERHEAD_BYTES
        return self._urgent or full

    def _beat_ms(self, now_ms: int) -> int:
        if self._seen and self._written_mark_ms <= self._last_event_ms < self._mark_ms:
            return PROVE_BEAT_MS
        return BUSY_BEAT_MS if now_ms - self._last_event_ms <= BUSY_FOR_MS else QUIET_BEAT_MS

    def _push(self, event: AnyEvent | None, receipt: R, size: int, now_ms: int) -> None:
        if not self._items:
            self._first_ms = now_ms
        self._items.append(_Item(event, receipt, size, self._mark_ms))  # what was marked so far lies before it
        self._bytes += size

    def _cut(self, now_ms: int) -> BatchCut[R]:
        taken = self._take()
        events = tuple(item.event for item in taken if item.event is not None)
        mark_ms = max(taken[-1].mark_ms if taken else self._mark_ms, self._written_mark_ms)
        receipts = [item.receipt for item in taken]
        if not events and mark_ms <= self._written_mark_ms:
            return BatchCut(None, receipts)
        self._in_flight = True
        if mark_ms > self._written_mark_ms:
            self._written_mark_ms, self._last_mark_cut_ms = mark_ms, now_ms
        watermark_ms = mark_ms + self._offset_ms if mark_ms else 0
        return BatchCut(Batch(partition=self.partition, watermark_ms=watermark_ms, events=events), receipts)

    def _take(self) -> list[_Item[R]]:
        taken: list[_Item[R]] = []
        size = events = 0
        while self._items and events < MAX_BATCH_EVENTS:
            if taken and size + self._items[0].size > MAX_BATCH_BYTES - _OVERHEAD_BYTES:
                break
            item = self._items.popleft()
            taken.append(item)
            size, events = size + item.size, events + (item.event is not None)
        self._bytes -= size
        self._urgent = any(item.event is not None and is_life_safety(item.event) for item in self._items)
        return taken


def collect_ms(partitions: int) -> int:
    """Return how long events collect in a shard that writes so many partitions: records a second are what it pays for.

    >>> collect_ms(1), collect_ms(24)
    (50, 200)
    """
    return min(COLLECT_MS * partitions, MAX_COLLECT_MS)


def cut_together(batchers: Collection[Batcher[R]], now_ms: int, ahead_ms: int) -> list[BatchCut[R]]:
    """Cut the records that are due; when one of them did not hurry, those due within ``ahead_ms`` go along."""
    if not any(batcher.calls_others(now_ms) for batcher in batchers):
        ahead_ms = 0
    return [cut for batcher in batchers if (cut := batcher.cut(now_ms, ahead_ms)) is not None]
