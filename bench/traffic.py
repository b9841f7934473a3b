"""Devices of simulated communities that speak at a chosen rate, with something for every rule going on among them.

Every actor is a generator of (seconds to wait, event); whoever sends the event stamps it with its time. What is said
between incidents is ordinary: readings, people who show a credential, objects that may be where they are.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Collection, Iterator, Sequence

import msgspec

from bench.situations import GRACE_MS, QUIET_DOORS, Actor, Situations, air, head, passage, stay
from contracts.durations import HOUR_MS, MINUTE_MS
from contracts.events import (
    CONFIG_SOURCE,
    AccessAttempted,
    AnyEvent,
    Configuration,
    Credential,
    DeviceConfigured,
    DeviceReported,
    DoorChanged,
    DoorState,
    Event,
    ObjectFell,
    ObjectLabel,
    PowerSampled,
    ThresholdConfigured,
)
from contracts.names import DeviceClass, Topic
from simulator.chargers import Pack, SimulatedCharge, charger_load
from simulator.community import Community, Device, Plan, Unit, build_community
from simulator.demo_community import versioned
from simulator.inventory import inventory
from simulator.loads import Load
from simulator.meters import sampled
from simulator.naming import Naming
from simulator.topics import topic_of

Due = tuple[float, Topic, AnyEvent]

PLAN = Plan(buildings=3, units=4, rooms=8, metered_rooms=6)
SITES = 4
CHARGERS = 4
"""In every so-manieth metered room an e-bike is charging."""
HISTORY_MS = 2 * HOUR_MS
BLOCK_MS = 5 * MINUTE_MS
MATURE_BLOCKS = 3
"""A charge is found when a five-minute block ends; they are spread over the first so many."""
SHARES = {"meters": 0.60, "doors": 0.18, "cameras": 0.16, "sensors": 0.06}
"""Of the rate. A person who comes in is four messages: credential, door open, passage, door closed."""


class Traffic:
    """The devices of ``SITES`` communities.

    Args:
        rate_per_s: of ordinary messages; incidents add some 8 a second.
        start_ms: when they begin to speak.
    """

    def __init__(self, rate_per_s: float, start_ms: int, seed: int = 1) -> None:
        self._rate_per_s, self._start_ms = rate_per_s, start_ms
        self._rng = random.Random(seed)
        self._communities = [
            build_community(random.Random(f"{seed}/{n}"), f"site-{n + 1:02d}", f"Site {n + 1}", PLAN)
            for n in range(SITES)
        ]
        self._tracks = itertools.count(1)
        self._naming = Naming(f"{start_ms:x}")
        self._classes = {d.device_id: d.device_class for c in self._communities for d in c.devices}
        self._boxes = {(c.site_id, d.device_id): c.box_of(d.device_id) for c in self._communities for d in c.devices}

    def records(self) -> list[Configuration]:
        """Return the inventory: rooms where something charges are known for two hours, all other devices since now."""
        old_ms, now_ms = self._start_ms - HISTORY_MS, self._start_ms - 1_000
        known = {(c.site_id, meter.device_id) for c in self._communities for meter in _chargers(c)}
        return [
            record
            for community in self._communities
            for record in aged(community, known, old_ms, now_ms, [grace(community.site_id, old_ms)])
        ]

    def history(self) -> list[AnyEvent]:
        """Return the log before: the inventory, and readings a minute of rooms in which something charges."""
        readings = [
            self._reading(community, meter, at_ms)
            for at_ms in range(self._start_ms - HISTORY_MS, self._start_ms, MINUTE_MS)
            for community in self._communities
            for meter in _chargers(community)
        ]
        events = [*self.records(), *(self._naming.name(reading, None) for reading in readings)]
        received = (msgspec.structs.replace(event, received_ms=event.at_ms) for event in events)
        return sorted(received, key=lambda event: event.received_ms)

    def live(self) -> Iterator[Due]:
        """Yield (seconds until due, topic, event), without end; the sender sets the time with :func:`stamped`."""
        actors = [*self._meters(), *self._doors(), *self._cameras(), *self._sensors()]
        for community in self._communities:
            situations = Situations(community, SITES, self._rng, self._tracks)
            actors += situations.actors(_failing(community))
        waiting: list[tuple[float, int, Event]] = []
        for number, actor in enumerate(actors):
            wait_s, event = next(actor)
            heapq.heappush(waiting, (wait_s, number, event))
        while True:
            due_s, number, event = waiting[0]
            wait_s, following = next(actors[number])
            heapq.heapreplace(waiting, (due_s + wait_s, number, following))
            named = self._naming.name(event, self._boxes[event.site_id, event.source_id])  # type: ignore[arg-type]
            topic = topic_of(named, self._classes)
            assert topic is not None
            yield due_s, topic, named

    # --- ordinary life ------------------------------------------------------------------------------------------------

    def _meters(self) -> list[Actor]:
        meters = [(c, m) for c in self._communities for m in c.of_class(DeviceClass.METER) if m not in _failing(c)]
        pause_s = len(meters) / (SHARES["meters"] * self._rate_per_s)
        return [self._paced(pause_s, self._readings(c, m)) for c, m in meters]

    def _readings(self, community: Community, meter: Device) -> Iterator[Event]:
        for number in itertools.count():
            yield self._reading(community, meter, self._start_ms + number * 1_000)

    def _reading(self, community: Community, meter: Device, at_ms: int) -> PowerSampled:
        rooms = _chargers(community)
        loads = [charging(meter, self._start_ms, rooms.index(meter) % MATURE_BLOCKS)] if meter in rooms else []
        return sampled(community.site_id, meter, loads, at_ms, self._rng)

    def _doors(self) -> list[Actor]:
        units = [(c, u) for c in self._communities for n, u in enumerate(c.units) if n % QUIET_DOORS]
        pause_s = 4 * len(units) / (SHARES["doors"] * self._rate_per_s)
        return [self._residents(c.site_id, u, pause_s) for c, u in units]

    def _residents(self, site_id: str, unit: Unit, pause_s: float) -> Actor:
        gate = head(site_id, unit.gate_id, unit.door_id)
        yield self._rng.uniform(0, pause_s), DeviceReported(**gate)
        while True:
            yield pause_s * 0.5, AccessAttempted(**gate, credential=Credential.CARD, granted=True)
            yield pause_s * 0.1, DoorChanged(**gate, state=DoorState.OPEN)
            yield pause_s * 0.2, passage(site_id, unit, next(self._tracks))
            yield pause_s * 0.2, DoorChanged(**gate, state=DoorState.CLOSED)

    def _cameras(self) -> list[Actor]:
        lobbies = [(c, u) for c in self._communities for u in c.units]
        pause_s = len(lobbies) / (SHARES["cameras"] * self._rate_per_s)
        return [self._paced(pause_s, self._bicycles(c.site_id, u)) for c, u in lobbies]

    def _bicycles(self, site_id: str, unit: Unit) -> Iterator[Event]:
        camera = head(site_id, unit.camera_id("lobby"), unit.lobby_id)
        while True:
            yield from stay(camera, ObjectLabel.BICYCLE, next(self._tracks), 4)

    def _sensors(self) -> list[Actor]:
        sensors = [(c, s) for c in self._communities for s in c.of_class(DeviceClass.SENSOR)]
        pause_s = len(sensors) / (SHARES["sensors"] * self._rate_per_s)
        return [self._paced(pause_s, itertools.repeat(air(c.site_id, s))) for c, s in sensors]

    def _paced(self, pause_s: float, events: Iterator[Event]) -> Actor:
        yield self._rng.uniform(0, pause_s), next(events)
        for event in events:
            yield pause_s, event


def stamped(event: AnyEvent, now_ms: int) -> AnyEvent:
    """Return ``event`` as it happens now."""
    if isinstance(event, ObjectFell):
        return msgspec.structs.replace(event, at_ms=now_ms, started_ms=now_ms - event.duration_ms)
    return msgspec.structs.replace(event, at_ms=now_ms)


def _chargers(community: Community) -> Sequence[Device]:
    rooms = [meter for meter in community.of_class(DeviceClass.METER) if meter.consented]
    return rooms[::CHARGERS]


def _failing(community: Community) -> Sequence[Device]:
    """Return the devices that only come and go; their readings are not missed by any other rule."""
    rooms = [meter for meter in community.of_class(DeviceClass.METER) if meter.consented]
    return rooms[1::CHARGERS]


def aged(
    community: Community, known: Collection[tuple[str, str]], old_ms: int, now_ms: int, also: Sequence[Configuration]
) -> list[Configuration]:
    """Return the inventory of ``community``: ``known`` (site, device) and all places since ``old_ms``, the rest since
    ``now_ms``, so that nobody is missed for a time in which it could not be heard. ``also`` comes first.
    """
    old: list[Configuration] = [*also]
    new: list[Configuration] = []
    for record in inventory(community, old_ms):
        if isinstance(record, DeviceConfigured) and (community.site_id, record.device_id) not in known:
            new.append(msgspec.structs.replace(record, at_ms=now_ms))
        else:
            old.append(record)
    return [versioned(record, number) for number, record in enumerate([*old, *new], 1)]


def charging(meter: Device, start_ms: int, block: int) -> Load:
    """Return a charger plugged in so that its plateau (45 min) is complete when the ``block``-th five-minute block from
    ``start_ms`` ends.
    """
    plug_ms = (start_ms // BLOCK_MS + block - 9) * BLOCK_MS
    charge = SimulatedCharge(Pack.LEAD_60, plug_ms, plug_ms + 5 * HOUR_MS, plug_ms + 7 * HOUR_MS)
    return charger_load(random.Random(meter.device_id), charge)


def grace(site_id: str, at_ms: int) -> ThresholdConfigured:
    """Return the threshold by which a device is silent soon after a last will."""
    return ThresholdConfigured(
        event_id="",
        site_id=site_id,
        source_id=CONFIG_SOURCE,
        place_id=site_id,
        at_ms=at_ms,
        version=0,
        rule="device_silent",
        name="offline_grace_ms",
        value=GRACE_MS,
    )
