"""How long something must last before it is said, and be gone before it is over: by its share of the time."""

from __future__ import annotations


class Lasting:
    """One reason. What comes and goes counts by its share: each second without it takes back a part of a second.

    Args:
        hold_ms: how long it must last, in one piece.
        fade: how much of a second is taken back by a second without it. What is there for ``fade / (1 + fade)`` of the
            time or less is never said.
        over_ms: how long it must be gone, and ``often_over_ms`` if it came back before.
        gap_ms: when it is gone for less than that, it did not go.
    """

    def __init__(
        self, hold_ms: float, fade: float, *, over_ms: float, often_over_ms: float, gap_ms: float = 2_000
    ) -> None:
        self._hold_ms, self._fade, self._gap_ms = hold_ms, fade, gap_ms
        self._over_ms, self._often_over_ms = over_ms, often_over_ms
        self._ripe_ms, self._came_back = 0.0, False
        self._first_ms: float | None = None
        self._seen_ms = self._looked_ms = 0.0
        self.said = False

    def look(self, now_ms: float, *, is_there: bool) -> bool:
        """Return whether it is to be said at ``now_ms`` (monotonic), where it shows or does not."""
        took_ms = now_ms - self._looked_ms
        self._looked_ms = now_ms
        if is_there:
            self._come(took_ms, now_ms)
        elif self._first_ms is not None:
            self._go(took_ms, now_ms)
        return self.said

    def _come(self, took_ms: float, now_ms: float) -> None:
        if self._first_ms is None:
            self._first_ms, took_ms = now_ms, 0.0
        elif now_ms - self._seen_ms > max(self._gap_ms, took_ms):
            self._came_back = True
        self._ripe_ms = min(self._ripe_ms + took_ms, self._hold_ms)
        self._seen_ms = now_ms
        self.said = self.said or self._ripe_ms >= self._hold_ms

    def _go(self, took_ms: float, now_ms: float) -> None:
        self._ripe_ms = max(self._ripe_ms - self._fade * took_ms, 0.0)
        if now_ms - self._seen_ms >= (self._often_over_ms if self._came_back else self._over_ms):
            self.said = False
        if not self.said and self._ripe_ms <= 0:
            self._first_ms, self._came_back = None, False
