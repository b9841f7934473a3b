"""Latencies counted in classes: sums of them can be added up, and give the same percentiles wherever they lie. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from contracts.hops import HOP_BOUNDS_MS
from streams.results.catalogue import within


class LatencyHistogram(msgspec.Struct, array_like=True):
    """How many latencies fell into each class, their sum and the highest. ``counts`` has one class above the bounds."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(HOP_BOUNDS_MS) + 1))
    sum_ms: int = 0
    max_ms: int = 0

    def add(self, took_ms: int) -> None:
        """Count one; what lies below 0 (clocks differ) counts as 0."""
        self.counts[bisect_left(HOP_BOUNDS_MS, took_ms)] += 1
        if took_ms > 0:
            self.sum_ms += took_ms
            self.max_ms = max(self.max_ms, took_ms)

    def fields(self) -> dict[str, bool | int | float]:
        """Return them as the fields of ``hops``; ``within_…`` are cumulative, and left out where they are 0."""
        found: dict[str, bool | int | float] = {"n": sum(self.counts), "sum_ms": self.sum_ms, "max_ms": self.max_ms}
        running = 0
        for bound, count in zip(HOP_BOUNDS_MS, self.counts, strict=False):
            running += count
            if running:
                found[within(bound)] = running
        for share, name in ((0.5, "p50_ms"), (0.99, "p99_ms")):
            found[name] = percentile_ms(found, share)
        return found


def percentile_ms(fields: Mapping[str, float], share: float) -> float:
    """Return the latency that ``share`` of those counted stay within, ms, read off the classes by straight lines.

    ``fields`` are those of ``hops``, of one point or summed up (``max_ms``: the highest). 0.0 where none was counted.

    >>> percentile_ms({"n": 4, "max_ms": 90, "within_50": 2, "within_100": 4}, 0.75)
    70.0
    """
    total = fields.get("n", 0)
    highest = float(fields.get("max_ms", 0))
    if not total:
        return 0.0
    rank, low, before = share * total, 0.0, 0.0
    for bound, upto in zip(HOP_BOUNDS_MS, _cumulative(fields), strict=True):
        if upto >= rank and upto > before:
            high = min(float(bound), highest)
            return round(low + (max(high, low) - low) * (rank - before) / (upto - before), 3)
        low, before = float(bound), upto
    return round(low + (max(highest, low) - low) * (rank - before) / (total - before), 3)


def _cumulative(fields: Mapping[str, float]) -> Sequence[float]:
    return [fields.get(within(bound), 0) for bound in HOP_BOUNDS_MS]
