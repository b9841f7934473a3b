"""How fast a device may speak: token buckets, and a bounded delay queue for events over the rate. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from contracts.events.identity import IN_FLIGHT
from ingest.pipeline.bounded import LruDict

MAX_DEVICES = 20_000
MAX_DEFERRED = 500
"""Events one device may have waiting; at 50 a second the last of them waits ten seconds."""
MAX_DEFERRED_IN_ALL = IN_FLIGHT // 2
"""Each takes up a place among what the broker may send without an answer; the other half stays for everybody else."""

T = TypeVar("T")
DeviceKey = tuple[str, str]
"""(site, source)."""


class _Bucket(msgspec.Struct):
    tokens: float = -1.0
    at_ms: int = 0


class TokenBuckets:
    """One bucket per device: ``rate_per_s`` on average, ``burst`` at once.

    Out of a queue of the broker comes what devices said in the whole time since time was last proven. So a bucket may
    then hold as much as they may say in that time, besides the burst: a device that kept its rate is not charged for
    the queue, and one that did not gets no more than without one.
    """

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_ms, self._burst = rate_per_s / 1000.0, burst
        self._buckets: LruDict[DeviceKey, _Bucket] = LruDict(MAX_DEVICES, _Bucket, exact=False)

    def take(self, key: DeviceKey, now_ms: int, behind_ms: int = 0) -> bool:
        """Return whether the device may say one more now. Time that steps back refills nothing.

        Args:
            key: of the device.
            now_ms: ingest time.
            behind_ms: how far proven time lies behind, while the broker has a queue for us.
        """
        bucket, most = self._buckets[key], self._burst + behind_ms * self._rate_per_ms
        if bucket.tokens < 0:
            bucket.tokens, bucket.at_ms = most, now_ms
        gained = max(now_ms - bucket.at_ms, 0) * self._rate_per_ms
        bucket.tokens, bucket.at_ms = min(bucket.tokens + gained, most), now_ms
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True


class DelayQueue(Generic[T]):
    """Events held back per device, in order. A device with something here waits behind itself."""

    def __init__(self) -> None:
        self._waiting: dict[DeviceKey, deque[T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def is_waiting(self, key: DeviceKey) -> bool:
        """Return whether the device has something waiting."""
        return key in self._waiting

    def defer(self, key: DeviceKey, item: T) -> bool:
        """Hold ``item`` back; False when there is no more room for it."""
        queue = self._waiting.get(key)
        if self._count >= MAX_DEFERRED_IN_ALL or (queue is not None and len(queue) >= MAX_DEFERRED):
            return False
        self._waiting.setdefault(key, deque()).append(item)
        self._count += 1
        return True

    def renew(self, key: DeviceKey, item: T, is_same: Callable[[T], bool]) -> bool:
        """Put ``item`` in the place of the one that is the same, where the device has one waiting; whether it has."""
        queue = self._waiting.get(key, ())
        for number, waiting in enumerate(queue):
            if is_same(waiting):
                self._waiting[key][number] = item
                return True
        return False

    def change(self, how: Callable[[T], T]) -> None:
        """Replace everything that waits."""
        self._waiting = {key: deque(how(item) for item in queue) for key, queue in self._waiting.items()}

    def release(self, buckets: TokenBuckets, now_ms: int, behind_ms: int = 0) -> list[T]:
        """Return what may go now, each device in its order; times as in :meth:`TokenBuckets.take`."""
        free: list[T] = []
        for key, queue in list(self._waiting.items()):
            while queue and buckets.take(key, now_ms, behind_ms):
                free.append(queue.popleft())
            if not queue:
                del self._waiting[key]
        self._count -= len(free)
        return free
