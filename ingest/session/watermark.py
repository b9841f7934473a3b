"""How far time is proven: the send time of the newest probe that came back through the broker. Pure.

See docs/protocol.md#watermark.

Everything that the broker had for us before the probe was received before it. So the mark lags with a queue in the
broker, and stands still when nothing comes back: disconnected, paused, replaced.

Probes are retained. Two owners of a client id never listen at the same time, and brokers do not reliably say why they
hang up; but whoever comes back finds the other's last probe, and the one that began earlier gives way.
"""

from __future__ import annotations

import msgspec

MAX_OUTSTANDING = 1_024


class Probe(msgspec.Struct, frozen=True):
    """The payload of a probe. ``run`` names the process that sent it, ``started_ms`` when that began."""

    run: str
    started_ms: int
    n: int


class TakenOver(msgspec.Struct, frozen=True):
    """Another process uses our client id, and began later than we did."""

    run: str
    started_ms: int


class Watermark:
    """The probes of one process over its connections.

    Args:
        run: a random name of this process.
        started_ms: when it began, on the ingest clock.
    """

    def __init__(self, run: str, started_ms: int) -> None:
        self._run, self._started_ms = run, started_ms
        self._outstanding: dict[int, int] = {}
        self._next = 0
        self.mark_ms = 0

    def send(self, now_ms: int) -> Probe:
        """Return the probe to publish now."""
        self._next += 1
        self._outstanding[self._next] = now_ms
        if len(self._outstanding) > MAX_OUTSTANDING:
            del self._outstanding[min(self._outstanding)]
        return Probe(self._run, self._started_ms, self._next)

    def returned(self, probe: Probe) -> TakenOver | None:
        """Return a probe came back: moves ``mark_ms``, or tells that a later process owns the session.

        Probes of an earlier process lie in the session after a restart; they prove nothing and are ignored.
        """
        if probe.run != self._run and not self.mark_ms:  # whoever had the session before; its clock may have been ahead
            self._started_ms = max(self._started_ms, probe.started_ms + 1)
            return None
        if probe.run != self._run:
            later = (probe.started_ms, probe.run) > (self._started_ms, self._run)
            return TakenOver(probe.run, probe.started_ms) if later else None
        sent_ms = self._outstanding.get(probe.n)
        if sent_ms is not None:
            self._outstanding = {n: ms for n, ms in self._outstanding.items() if n > probe.n}
            self.mark_ms = max(self.mark_ms, sent_ms)
        return None

    def disconnected(self) -> None:
        """Forget probes under way: they prove nothing about the next connection, as messages of QoS 0 may be lost."""
        self._outstanding.clear()

    def lag_ms(self, now_ms: int) -> int:
        """Return how far the mark lies behind; 0 before the first probe came back."""
        return max(now_ms - self.mark_ms, 0) if self.mark_ms else 0
