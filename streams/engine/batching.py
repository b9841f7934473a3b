"""How a file of events becomes batches: one pure function for ``replay`` and ``log load`` (time is the file's).

The file is cut at every full 10 s of ``received_ms``. A slice's batches carry watermark 0 and release nothing, except
each partition's last, which every partition gets and which carries the end of the slice. So findings depend neither on
the number of partitions nor on the sizes of batches. Slices without events carry time alone, and one watermark at the
end of them says the same as many: a pause in the file costs one empty batch a partition. At the end of the file nothing
is flushed; its last slice ends like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from contracts.batch import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Batch
from contracts.events import AnyEvent, ClockStepped
from contracts.names import partition_of

SLICE_MS = 10_000
_ENVELOPE_BYTES = 64
"""More than the fields of a batch around its events take."""


def batches_of(
    events: Iterable[AnyEvent], partitions: int, *, max_events: int = MAX_BATCH_EVENTS, max_bytes: int = MAX_BATCH_BYTES
) -> Iterator[Batch]:
    """Yield the batches of a file's events, given in order of acceptance. See the module's text.

    A ``received_ms`` below its predecessor's does not go back: the event stays in the running slice. Only where the
    log's time moves (``ClockStepped.shift_ms``) does another time begin, in a batch of its own.
    """
    packers = [_Packer(partition, max_events, max_bytes) for partition in range(partitions)]
    end_ms: int | None = None
    moved: tuple[int, int] | None = None
    for event in events:
        if isinstance(event, ClockStepped) and event.shift_ms and (event.received_ms, event.shift_ms) != moved:
            moved = (event.received_ms, event.shift_ms)  # each site tells of the same step
            if end_ms is not None:
                yield from (packer.close(event.received_ms - event.shift_ms) for packer in packers)
            end_ms = event.received_ms // SLICE_MS * SLICE_MS + SLICE_MS
        slice_ms = event.received_ms // SLICE_MS * SLICE_MS
        if end_ms is None:
            end_ms = slice_ms + SLICE_MS
        elif slice_ms >= end_ms:
            yield from (packer.close(end_ms) for packer in packers)
            if slice_ms > end_ms:
                yield from (packer.close(slice_ms) for packer in packers)
            end_ms = slice_ms + SLICE_MS
        yield from packers[partition_of(event.site_id, partitions)].add(event)
    if end_ms is not None:
        for packer in packers:
            yield packer.close(end_ms)


class _Packer:
    """One partition's events of the running slice that are not yet in a batch."""

    def __init__(self, partition: int, max_events: int, max_bytes: int) -> None:
        self._partition = partition
        self._max_events, self._max_bytes = max_events, max_bytes - _ENVELOPE_BYTES
        self._events: list[AnyEvent] = []
        self._bytes = 0

    def add(self, event: AnyEvent) -> Iterator[Batch]:
        """Take ``event``; the batch before it, when that is full."""
        size = len(_ENCODER.encode(event))
        if self._events and (len(self._events) >= self._max_events or self._bytes + size > self._max_bytes):
            yield self.close(0)
        self._events.append(event)
        self._bytes += size

    def close(self, watermark_ms: int) -> Batch:
        """Return the batch of what is waiting, possibly nothing."""
        batch = Batch(partition=self._partition, watermark_ms=watermark_ms, events=tuple(self._events))
        self._events, self._bytes = [], 0
        return batch


_ENCODER = msgspec.msgpack.Encoder()
