"""When the next probe is due, and when a connection that says nothing is given up. Pure."""

from __future__ import annotations

from contracts.errors import Permanent
from contracts.names import PROBE_ROOT
from contracts.secret_urls import shown_url
from ingest.settings import ShardSettings

BROKER_STALLED_MS = 3_000
BROKER_STALLED_PROBES = 8
"""Probes without an answer, or it was we who stood still: then there is a queue for us, in order."""


FRUITLESS_CONNECTIONS = 5
"""So many, and no probe ever came back: the broker takes us, and does not let us speak or hear."""


class ProbeSchedule:
    """One shard's probes: every 250 ms, 100 ms after the last one while an event waits, at once for life safety."""

    def __init__(self, settings: ShardSettings) -> None:
        self._interval_ms, self._prove_ms = settings.probe_interval_ms, settings.prove_interval_ms
        self._silence_ms = settings.silence_ms
        self._sent_ms = self._heard_ms = 0
        self._unanswered = 0
        self._fruitless = 0
        self._broker, self._client_id = shown_url(settings.mqtt_url), settings.client_id
        self.due_ms = 0

    def connected(self, now_ms: int, *, proven: bool = True) -> None:
        """Probe at once: the connection is new. ``proven``: a probe came back before, over this one or another.

        Raises:
            Permanent: no probe ever came back, over several connections.
        """
        if not proven and self._fruitless >= FRUITLESS_CONNECTIONS:
            raise Permanent(
                f"the broker at {self._broker} takes us, but in {FRUITLESS_CONNECTIONS} connections no message on our "
                f"own topic came back: let {self._client_id!r} read and write {PROBE_ROOT}/# in its ACL"
                " (`linli docs ingest`)"
            )
        self._fruitless += not proven
        self.due_ms = 0
        self.heard(now_ms)

    def heard(self, now_ms: int) -> None:
        """Note that something came over the connection."""
        self._heard_ms, self._unanswered = now_ms, 0

    def accepted(self, now_ms: int, *, life_safety: bool) -> None:
        """Note that an event was accepted: a rule waits until time has passed it."""
        self.due_ms = min(self.due_ms, now_ms if life_safety else self._sent_ms + self._prove_ms)

    def sent(self, now_ms: int) -> None:
        """Note that a probe was sent."""
        self._sent_ms, self.due_ms = now_ms, now_ms + self._interval_ms
        self._unanswered += 1

    def broker_stalled(self, now_ms: int) -> bool:
        """Return whether nothing came for so long, though we asked again, that the broker must have stood still."""
        return now_ms - self._heard_ms > BROKER_STALLED_MS and self._unanswered >= BROKER_STALLED_PROBES

    def silent(self, now_ms: int) -> bool:
        """Return whether not even a probe came back for so long that the connection must be dead."""
        return now_ms - self._heard_ms > self._silence_ms
