"""The hops of a message from device to delivery, and how their times are counted. Names for metrics, results, trace.

Stamps are what rows carry anyway: ``at_ms``, ``received_ms``, the time of the log's record, ``due_ms``, the time the
finding was kept, ``opened_ms`` and ``settled_ms``. Counting is arithmetic; whoever reads a clock hands the time in.
"""

from __future__ import annotations

import bisect
import enum
from collections.abc import Iterable


class Hop(enum.StrEnum):
    """From one stamp to the next; ``due_decided`` is what the latency goals are about, the others explain it."""

    DEVICE_ACCEPTED = "device_accepted"  # at_ms → received_ms: the device's network, its spool, the broker
    ACCEPTED_DURABLE = "accepted_durable"  # received_ms → the record is on disk, or acknowledged by Kafka
    DURABLE_DECIDED = "durable_decided"  # the record → the finding is kept; waiting for time is part of it
    DUE_DECIDED = "due_decided"  # due_ms → the finding is kept
    DECIDED_INCIDENT = "decided_incident"  # the finding is kept → its incident is written
    INCIDENT_DELIVERED = "incident_delivered"  # the delivery row is written → its receiver confirmed


BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets. Goals are 0.3 s and 1 s over due; a box that was offline lies beyond the last."""

_BOUNDS_MS = tuple(bound * 1000 for bound in BOUNDS_S)


class HopTimes:
    """How long one hop took, as a histogram. One thread adds; others may read, and may see the last addition late.

    >>> times = HopTimes(Hop.DUE_DECIDED)
    >>> times.add([4, 80, 3_600_000])
    >>> times.cumulative()[0], times.count, times.sum_s
    (1, 3, 3600.084)
    """

    def __init__(self, hop: Hop) -> None:
        self.hop = hop
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._sum_ms = 0

    def add(self, took_ms: Iterable[int]) -> None:
        """Count these; a negative time (two clocks that disagree) counts as 0."""
        for ms in took_ms:
            self._buckets[bisect.bisect_left(_BOUNDS_MS, ms)] += 1
            self._sum_ms += max(ms, 0)

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._buckets)

    @property
    def sum_s(self) -> float:
        """All of them together, in seconds."""
        return self._sum_ms / 1000

    def cumulative(self) -> list[int]:
        """How many took at most each of :data:`BOUNDS_S`, and last all of them."""
        total, counts = 0, []
        for bucket in self._buckets:
            total += bucket
            counts.append(total)
        return counts
