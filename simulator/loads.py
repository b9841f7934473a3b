"""An electrical load as a piecewise curve: what it draws at any moment, exactly and repeatably."""

from __future__ import annotations

import bisect
import math

import msgspec


class LoadSpan(msgspec.Struct, frozen=True):
    """A piece of a load's curve from ``from_ms`` to ``to_ms``, in watts.

    From ``start_w`` to ``end_w`` in a line, or, with ``tau_ms``, towards ``end_w`` exponentially.
    """

    from_ms: int
    to_ms: int
    start_w: float
    end_w: float
    tau_ms: float | None = None

    def power_w(self, at_ms: int) -> float:
        """Return the power at a moment inside the span."""
        passed = at_ms - self.from_ms
        if self.tau_ms is not None:
            return self.end_w + (self.start_w - self.end_w) * math.exp(-passed / self.tau_ms)
        return self.start_w + (self.end_w - self.start_w) * passed / max(1, self.to_ms - self.from_ms)


class Load:
    """One appliance on a circuit. ``spans`` are in order and do not overlap; between them it draws nothing.

    ``noise`` is the standard deviation of its power from reading to reading, as a ratio.
    """

    def __init__(self, name: str, power_factor: float, noise: float, spans: list[LoadSpan]) -> None:
        self.name = name
        self.power_factor = power_factor
        self.noise = noise
        self.spans = spans
        self._starts = [span.from_ms for span in spans]
        # Reactive power is what a sum of loads needs: powers add, power factors do not.
        self.reactive_ratio = math.tan(math.acos(power_factor))

    def power_w(self, at_ms: int) -> float:
        """Return what it draws at ``at_ms``, without noise."""
        number = bisect.bisect_right(self._starts, at_ms) - 1
        if number < 0:
            return 0.0
        span = self.spans[number]
        return span.power_w(at_ms) if at_ms < span.to_ms else 0.0


def flat(from_ms: int, to_ms: int, watts: float) -> LoadSpan:
    """Return a constant piece."""
    return LoadSpan(from_ms, to_ms, watts, watts)
