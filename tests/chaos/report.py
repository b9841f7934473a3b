"""What a run of chaos came to."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tests.chaos.progress import Stall
from tests.chaos.reference import Difference
from tests.chaos.silence import Silences
from tests.chaos.told import Kept, Told


class Events(msgspec.Struct, frozen=True):
    """``said``: handed to the broker with the promise that they arrive. ``doubles``: in the log more than once.

    ``lost_with_broker``: what plain devices had said to a broker that was killed; a box says it again, a device cannot.
    """

    said: int
    logged: int
    doubles: int
    lost: int
    applied_twice: int
    unconfirmed: int = 0
    lost_with_broker: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one run; :meth:`wrong` says what of them must not be."""

    scenario: str
    seed: int
    seconds: float
    faults: Mapping[str, int]
    events: Events
    findings: Difference
    recovery_s: float
    """From the end of the last fault until every partition had judged something that was written after it."""
    stalls: list[Stall]
    """When partitions stood still though the log was ahead, whatever went on."""
    restarts: Mapping[str, int]
    unexpected_ends: list[str]
    silences: Silences | None = None
    told: Told | None = None
    stolen: int = 0
    """Messages that a device was given under ingest's client id."""
    results: Kept | None = None
    """What InfluxDB counts; it was waited for until this is what it should be."""

    def wrong(self) -> list[str]:
        """Return what must not be; empty when all is well."""
        checks = {
            "events": not (self.events.lost or self.events.applied_twice or self.events.unconfirmed),
            "findings": self.findings.none(),
            "silences": self.silences is None or not (self.silences.false or self.silences.missed),
            "told": self.told is None or self.told.none(),
            "ends": not self.unexpected_ends,
            "thief": not self.stolen,
        }
        return [name for name, well in checks.items() if not well]

    def text(self) -> str:
        """As JSON for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()
