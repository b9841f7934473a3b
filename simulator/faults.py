"""What goes wrong with devices: silence, last wills, flapping, and edge boxes that lose their network for a while."""

from __future__ import annotations

import enum
import random

import msgspec

from contracts.durations import MINUTE_MS
from contracts.names import DeviceClass
from simulator.community import BOX_SILENT_MS, MAIN_GATE_ID, METER_SILENT_MS, SENSOR_SILENT_MS, Community


class FaultKind(enum.Enum):
    """How a device fails."""

    SILENT = "silent"  # it says nothing, and what it would have said is lost
    LAST_WILL = "last_will"  # the same, and the broker says so at once
    FLAPPING = "flapping"  # it comes and goes every half minute, too short to be silent
    OFFLINE = "offline"  # a box without network: what its cameras see is stored and sent later
    NEVER_HEARD = "never_heard"  # configured, but never connected


class Fault(msgspec.Struct, frozen=True):
    """One device's fault from ``from_ms`` to ``to_ms`` (epoch ms)."""

    kind: FaultKind
    device_id: str
    from_ms: int
    to_ms: int

    def hides(self, at_ms: int) -> bool:
        """Return whether what the device says at ``at_ms`` is lost."""
        return self.kind in HIDING and self.from_ms <= at_ms < self.to_ms


HIDING = frozenset({FaultKind.SILENT, FaultKind.LAST_WILL, FaultKind.NEVER_HEARD})


def plan_faults(rng: random.Random, community: Community, from_ms: int, to_ms: int) -> tuple[Fault, ...]:
    """Draw a community's faults of a day: a silent meter or sensor, a last will, a flapping gate, two outages of boxes.

    Gates with a camera never fall silent here: people would pass them without a credential that anyone heard of.
    """
    meters = list(community.of_class(DeviceClass.METER))
    sensors = list(community.of_class(DeviceClass.SENSOR))
    boxes = [building.box_id for building in community.buildings]
    faults = [
        _fault(rng, FaultKind.SILENT, rng.choice(sensors[1:-1]).device_id, from_ms, to_ms, SENSOR_SILENT_MS),
        # The shed's meter and the main gate, so that no scripted charge is lost with its meter.
        _fault(rng, FaultKind.SILENT, meters[0].device_id, from_ms, to_ms, METER_SILENT_MS),
        _fault(rng, FaultKind.LAST_WILL, MAIN_GATE_ID, from_ms, to_ms, METER_SILENT_MS * 2),
        Fault(FaultKind.OFFLINE, boxes[0], *_span(rng, from_ms, to_ms, rng.randint(3, 8) * MINUTE_MS)),
        Fault(FaultKind.OFFLINE, boxes[-1], *_span(rng, from_ms, to_ms, BOX_SILENT_MS + 8 * MINUTE_MS)),
    ]
    flapping = rng.choice(community.units).gate_id
    faults.append(Fault(FaultKind.FLAPPING, flapping, *_span(rng, from_ms, to_ms, 4 * MINUTE_MS)))
    return tuple(faults)


def _fault(rng: random.Random, kind: FaultKind, device_id: str, from_ms: int, to_ms: int, silent_ms: int) -> Fault:
    return Fault(kind, device_id, *_span(rng, from_ms, to_ms, silent_ms + rng.randint(15, 60) * MINUTE_MS))


def _span(rng: random.Random, from_ms: int, to_ms: int, duration_ms: int) -> tuple[int, int]:
    start = rng.randint(from_ms, max(from_ms, to_ms - duration_ms))
    return start, start + duration_ms
