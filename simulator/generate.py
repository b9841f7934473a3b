"""Days of life in K communities, as one stream of events in order of acceptance, with the truth beside it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator

import msgspec

from contracts.durations import DAY_MS, HOUR_MS, MINUTE_MS
from contracts.events import AnyEvent, DeviceReported, Origin
from contracts.names import DeviceClass
from simulator.arrival import clock_skews_ms, deliver
from simulator.cameras import play_building_cameras, play_unit_cameras
from simulator.community import NAMES, Community, Plan, build_community
from simulator.faults import Fault, FaultKind, plan_faults
from simulator.health import play_health
from simulator.impaired import play_impaired
from simulator.inventory import inventory
from simulator.meters import play_meters
from simulator.residents import play_unit
from simulator.script import Script
from simulator.sensors import play_sensors
from simulator.truth import Truth
from simulator.turnstile import play_turnstile

DEFAULT_START_MS = 1_773_633_600_000
"""2026-03-16 12:00 in Shanghai: a day from noon to noon holds a whole evening and night."""

WARM_UP_MS = 12 * MINUTE_MS
"""Every device has been heard once before anything goes wrong."""
QUIET_MS = 2 * HOUR_MS
"""The tail in which devices only say that they live: longer than the longest silence (one hour) and any plateau."""
PENDING_DEVICE = "gate-new"


class World(msgspec.Struct, frozen=True):
    """A simulated world: events by ``received_ms`` (configuration first), and truths by time."""

    events: list[AnyEvent]
    truths: list[Truth]


class SimulationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to simulate. ``start_ms`` is the time of the first configuration record; ``days`` count from it."""

    seed: int
    days: int = 1
    sites: int = 8
    start_ms: int = DEFAULT_START_MS
    origin: Origin = Origin.SIMULATED
    plan: Plan = Plan()


def generate(request: SimulationRequest) -> World:
    """Return all communities of ``request``. The same request gives the same world, byte for byte."""
    streams: list[list[AnyEvent]] = []
    truths: list[Truth] = []
    for number in range(request.sites):
        script = script_site(request, number)
        streams.append(deliver(script, request.origin))
        truths += script.truths
    truths.sort(key=lambda t: (t.from_ms, t.site_id, t.rule, t.subject, t.detail))
    return World(list(_merged(streams)), truths)


def _merged(streams: list[list[AnyEvent]]) -> Iterator[AnyEvent]:
    return heapq.merge(*streams, key=lambda event: event.received_ms)


def script_site(request: SimulationRequest, number: int) -> Script:
    """Return everything that happens in one community, in true time."""
    seed, site_id = str(request.seed), f"site-{number + 1:02d}"
    script = empty_script(seed, site_id, NAMES[number % len(NAMES)], request)
    script.skews_ms = clock_skews_ms(script.community)
    for record in inventory(script.community, request.start_ms):
        script.say(record)
    for unit in script.community.units:
        play_unit(script, unit)
        play_unit_cameras(script, unit)
    for building in script.community.buildings:
        play_building_cameras(script, building)
    play_turnstile(script)
    play_meters(script)
    play_sensors(script)
    play_impaired(script)
    play_health(script)
    _pending_device(script)
    return script


def empty_script(seed: str, site_id: str, name: str, request: SimulationRequest) -> Script:
    """Return a community with its faults planned, before anything happens in it."""
    community = build_community(random.Random(f"{seed}/{site_id}/community"), site_id, name, request.plan)
    end_ms = request.start_ms + request.days * DAY_MS
    faults = _faults(random.Random(f"{seed}/{site_id}/faults"), community, request.start_ms, end_ms)
    return Script(seed, community, request.start_ms + MINUTE_MS, end_ms - QUIET_MS, end_ms, faults)


def _faults(rng: random.Random, community: Community, start_ms: int, end_ms: int) -> tuple[Fault, ...]:
    """Draw each day's faults; and, in every other community, a sensor that was never connected."""
    faults: list[Fault] = []
    for day_ms in range(start_ms, end_ms, DAY_MS):
        last_ms = min(day_ms + DAY_MS, end_ms - QUIET_MS)
        faults += plan_faults(rng, community, day_ms + WARM_UP_MS, last_ms)
    if rng.random() < 0.5:
        sensor = community.of_class(DeviceClass.SENSOR)[0]
        faults.append(Fault(FaultKind.NEVER_HEARD, sensor.device_id, start_ms, end_ms))
    return tuple(faults)


def _pending_device(script: Script) -> None:
    """Play a gate that somebody has mounted and nobody has entered in the inventory: ingest lists it as pending."""
    for number in range(6):
        script.say(
            DeviceReported(
                **script.header(PENDING_DEVICE, script.site_id, script.from_ms + number * 10 * MINUTE_MS),
            )
        )
