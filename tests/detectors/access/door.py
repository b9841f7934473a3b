"""A door of :class:`tests.detectors.wire.Wire`: a gate whose heartbeats are well, and a camera behind a box."""

from __future__ import annotations

from typing import Any

from contracts.findings import Finding
from contracts.names import DeviceClass
from tests.detectors.builders import SECOND, T0
from tests.detectors.wire import Wire
from tests.ingest.builders import device, place, site

GATE, BOX = "gate/gate1", "edge/box1"


class Door:
    """A door with a gate whose heartbeats are well, and a camera behind a box."""

    def __init__(self, **gate: Any) -> None:
        self.wire = Wire(
            [
                site(),
                place("door-1"),
                device("gate1", DeviceClass.GATE, place_id="door-1", **gate),
                device("box1", DeviceClass.EDGE),
                device("cam1", DeviceClass.CAM, "box1", place_id="door-1"),
            ]
        )
        self._rows = 0

    def beats(self, at: int, clock: int = 0) -> None:
        """The gate says that it lives."""
        self.wire.say(at, GATE, kind="device_reported", clock=clock)

    def grants(self, at: int, *, clock: int = 0, **said: Any) -> Any:
        """The gate says that it let somebody in; how its firmware says it."""
        grant = {"kind": "access_attempted", "credential": "card", "granted": True, "person_ref": f"p{at}", **said}
        return self.wire.say(at, GATE, received=20, clock=clock, **grant)

    def row(self, at: int, source_id: str, *, clock: int = 0, **said: Any) -> Any:
        """The box sends a row of its spool."""
        self._rows += 1
        spool = {"box_id": "box1", "spool_id": "spool1", "lane": "live", "seq": self._rows, "first": 1}
        return self.wire.say(at, BOX, source_id=source_id, spool=spool, received=30, clock=clock, **said)

    def passes(self, at: int, clock: int = 0) -> None:
        """Somebody comes in."""
        seen = {"direction": "in", "track_id": self._rows, "score": 0.9}
        self.row(at, "cam1", kind="passage_observed", clock=clock, **seen)

    def strangers(self, until: int) -> list[tuple[int, bool]]:
        """When strangers came in, in seconds, and whether that is verified."""
        self.wire.until(until)
        found: list[Finding] = self.wire.of("stranger_entry")
        return [((finding.onset_ms - T0) // SECOND, finding.verified) for finding in found]
