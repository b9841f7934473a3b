"""From what happened to what ingest accepted: names, clocks, networks, spools, duplicates, lateness and order.

Gates and sensors number their events; meters do not. Cameras speak through their box's spool. Delays stay below the
bounds of the rules that join sources, but for a few readings that come genuinely late.
"""

from __future__ import annotations

import random
from collections import defaultdict

import msgspec

from contracts.events import (
    AnyEvent,
    ConfigurationRecord,
    DeviceReported,
    DeviceStateChanged,
    DoorChanged,
    DoorState,
    EnvironmentSampled,
    Origin,
    PowerSampled,
)
from contracts.names import DeviceClass
from simulator.community import Community
from simulator.script import Script
from simulator.spool import send_spool

replace = msgspec.structs.replace

REDELIVERED = 0.01
"""Share of QoS 1 messages that come twice."""
LATE = 0.002
"""Share of readings, heartbeats and closings that come genuinely late. What accuses or clears a person never does."""
SLOW = 0.02
"""Share of messages that take up to 0.9 s instead of 0.2 s, and so overtake each other."""


class Arrivals:
    """Collects a community's accepted events; :meth:`in_order` gives them as the writer of the log took them."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._taken: list[AnyEvent] = []

    def take(self, event: AnyEvent, received_ms: int) -> None:
        """Note that ``event`` was accepted at ``received_ms``."""
        self._taken.append(replace(event, received_ms=received_ms, origin=self._origin))

    def in_order(self) -> list[AnyEvent]:
        """Return everything by ``received_ms``; what came in the same millisecond stays in order of taking."""
        return sorted(self._taken, key=lambda event: event.received_ms)


def deliver(script: Script, origin: Origin) -> list[AnyEvent]:
    """Return the events of ``script`` as they were accepted, in order of ``received_ms``."""
    arrivals = Arrivals(origin)
    by_source: dict[str, list[AnyEvent]] = defaultdict(list)
    spools: dict[str, list[AnyEvent]] = {box.device_id: [] for box in script.community.of_class(DeviceClass.EDGE)}
    boxes = _boxes(script)
    hiding = _hiding(script)
    for event in sorted(script.events, key=lambda event: event.at_ms):
        if not _lost(hiding, event):
            box_id = boxes.get(event.source_id)
            (spools[box_id] if box_id else by_source[event.source_id]).append(event)
    _deliver_configuration(by_source.pop("config", []), arrivals)
    for source_id, events in by_source.items():
        _deliver_direct(script, source_id, events, arrivals)
    for box_id, events in spools.items():
        send_spool(script, box_id, events, arrivals.take)
    return arrivals.in_order()


def _boxes(script: Script) -> dict[str, str]:
    """Return device → the box in whose spool its events are."""
    boxes = {device.device_id: script.community.box_of(device.device_id) for device in script.community.devices}
    return {device_id: box_id for device_id, box_id in boxes.items() if box_id is not None}


def _hiding(script: Script) -> dict[str, list[tuple[int, int]]]:
    hidden: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for fault in script.faults:
        if fault.hides(fault.from_ms):
            hidden[fault.device_id].append((fault.from_ms, fault.to_ms))
    return hidden


def _lost(hiding: dict[str, list[tuple[int, int]]], event: AnyEvent) -> bool:
    """Return whether its device was dead when it happened. A last will is the broker's word and is never lost."""
    spans = hiding.get(event.source_id, ())
    return any(a <= event.at_ms < b for a, b in spans) and not isinstance(event, DeviceStateChanged)


def _deliver_configuration(records: list[AnyEvent], arrivals: Arrivals) -> None:
    for number, record in enumerate(records):
        assert isinstance(record, ConfigurationRecord)
        named = replace(record, version=number + 1, event_id=f"config-{number + 1}")
        arrivals.take(named, record.at_ms)


def _deliver_direct(script: Script, source_id: str, events: list[AnyEvent], arrivals: Arrivals) -> None:
    rng = script.stream(f"{source_id}/network")
    skew_ms = script.skews_ms.get(source_id, 0)
    seq = 0
    for number, event in enumerate(events):
        received_ms = event.at_ms + delay_ms(rng)
        if _may_be_late(event) and rng.random() < LATE:
            received_ms += rng.randint(15_000, 120_000)
        named = replace(event, at_ms=event.at_ms + skew_ms)
        if isinstance(event, PowerSampled):  # telemetry: no number, and nobody sends it again
            arrivals.take(replace(named, event_id=f"{source_id}-t{number}"), received_ms)
            continue
        if isinstance(event, DeviceStateChanged):  # the retained state has no number either
            named = replace(named, event_id=f"{source_id}-s{number}")
        else:
            named = replace(named, event_id=f"{source_id}-{seq}", seq=seq)
            seq += 1
        arrivals.take(named, received_ms)
        if rng.random() < REDELIVERED:
            arrivals.take(named, received_ms + rng.randint(800, 5_000))


def clock_skews_ms(community: Community) -> dict[str, int]:
    """Return device → how far its clock is off: two meters (one ahead), a gate and a sensor of each community."""
    meters = community.of_class(DeviceClass.METER)
    return {
        meters[-1].device_id: -8_000,
        meters[-2].device_id: 5_000,
        community.units[-1].gate_id: -600,
        community.of_class(DeviceClass.SENSOR)[-1].device_id: 1_400,
    }


def delay_ms(rng: random.Random) -> int:
    """Return how long a message is under way: tens of milliseconds, now and then nearly a second."""
    if rng.random() < SLOW:
        return rng.randint(200, 900)
    return 15 + min(180, int(rng.expovariate(1 / 30)))


def _may_be_late(event: AnyEvent) -> bool:
    if isinstance(event, DoorChanged):
        return event.state is DoorState.CLOSED
    if isinstance(event, EnvironmentSampled):
        return not event.alarm
    return isinstance(event, PowerSampled | DeviceReported)
