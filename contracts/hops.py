"""Hops: the stretches of the way from a device to a receiver whose latency is measured, and how it is counted.

One list for results, metrics, traces and dashboards. A hop's latency lies between two times that rows already carry;
counting is arithmetic, whoever reads a clock hands the time in.
"""

from __future__ import annotations

import bisect
import enum
import threading
from collections.abc import Iterable


class Hop(enum.StrEnum):
    """One stretch of the way; the times it lies between. The goals are about what begins at ``due``."""

    DEVICE_TO_ACCEPTED = "device_to_accepted"  # at_ms → received_ms; stored events are left out
    ACCEPTED_TO_DURABLE = "accepted_to_durable"  # received_ms → the log's own time of the record, where it has one
    DURABLE_TO_DECIDED = "durable_to_decided"  # that → the finding is kept; waiting for time is part of it
    DUE_TO_DECIDED = "due_to_decided"  # due_ms of a finding → the finding is kept
    DECIDED_TO_INCIDENT = "decided_to_incident"  # that → taken_ms of the incidents' intake
    DUE_TO_INCIDENT = "due_to_incident"  # due_ms of a finding → taken_ms of the incidents' intake
    INCIDENT_TO_DELIVERED = "incident_to_delivered"  # created_ms of a delivery → its receipt


HOP_BOUNDS_MS = (5, 10, 20, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Upper bounds of the classes that latencies are counted in, ms; the goals (300 ms, 1 s, 10 s) are among them."""


class HopTimes:
    """How long one hop took, as a histogram. Thread-safe.

    >>> times = HopTimes(Hop.DUE_TO_DECIDED)
    >>> times.add([4, 80, 3_600_000])
    >>> times.cumulative()[0], times.count, times.sum_ms
    (1, 3, 3600084)
    """

    def __init__(self, hop: Hop) -> None:
        self.hop = hop
        self.sum_ms = 0
        self._classes = [0] * (len(HOP_BOUNDS_MS) + 1)
        self._adding = threading.Lock()

    def add(self, took_ms: Iterable[int]) -> None:
        """Count these; a negative time (two clocks that disagree) counts as 0."""
        with self._adding:
            for ms in took_ms:
                self._classes[bisect.bisect_left(HOP_BOUNDS_MS, ms)] += 1
                self.sum_ms += max(ms, 0)

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._classes)

    def cumulative(self) -> list[int]:
        """Return how many took at most each of :data:`HOP_BOUNDS_MS`, and last all of them."""
        total, counts = 0, []
        for count in self._classes:
            total += count
            counts.append(total)
        return counts
