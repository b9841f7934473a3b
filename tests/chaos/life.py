"""Communities in which something happens all the time, for every rule that a few minutes can show: a pure function.

Doors and cameras speak through boxes with spools, sensors for themselves. *Canaries* are sensors that must be heard
every few seconds: what they do not say while we listen is ``device_silent``, what we did not hear while we were deaf is
not. Some are muted at known times, one a site never speaks.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from bench.situations import Actor, Situations, head, passage
from contracts.events import (
    AccessAttempted,
    AnyEvent,
    Configuration,
    Credential,
    DeviceReported,
    DoorChanged,
    DoorState,
    ObjectFell,
    Origin,
)
from contracts.names import DeviceClass, Topic
from simulator.community import Community, Device, Plan, Unit, build_community
from simulator.demo_community import versioned
from simulator.inventory import inventory
from simulator.naming import Naming
from simulator.topics import topic_of

Due = tuple[float, Topic, AnyEvent]

PLAN = Plan(buildings=1, units=2, rooms=3, metered_rooms=1)
CANARIES = 3
HEARTBEAT_S = 2.0
SILENT_S = 8.0
"""Shorter than every outage that matters: an outage taken for silence would show at every canary."""
UNHEARD = "canary-none"
_CANARIES = (*(f"canary-{number}" for number in range(CANARIES)), UNHEARD)
DELAYS_MS = (20, 180)
"""How long what a file holds was under way; below the bound of every rule."""


class Mute(msgspec.Struct, frozen=True, order=True):
    """A canary says nothing from ``from_s`` on until ``to_s``."""

    site_id: str
    device_id: str
    from_s: float
    to_s: float


class Life:
    """``sites`` communities from their start on, for one seed.

    Args:
        pace: how often things happen; 1.0 is about 20 events a second and site.
        mutes: when which canaries say nothing.
    """

    def __init__(self, seed: int, sites: int, *, pace: float = 1.0, mutes: Sequence[Mute] = ()) -> None:
        self._seed, self._pace = seed, pace
        self._mutes = {(m.site_id, m.device_id): (m.from_s, m.to_s) for m in mutes}
        self.communities = [_community(seed, number) for number in range(sites)]

    def records(self, at_ms: int) -> list[Configuration]:
        """The inventory, in force from ``at_ms`` on."""
        return [
            versioned(record, number)
            for community in self.communities
            for number, record in enumerate(inventory(community, at_ms), 1)
        ]

    def stream(self, run: str, seconds: float) -> Iterator[Due]:
        """(seconds from the start, topic, event without its time) in order, until ``seconds``; ``run`` names spools."""
        rng = random.Random(f"{self._seed}/life")
        tracks, naming = itertools.count(1), Naming(run)
        actors = [actor for community in self.communities for actor in self._actors(community, rng, tracks)]
        boxes = {(c.site_id, d.device_id): c.box_of(d.device_id) for c in self.communities for d in c.devices}
        classes = {d.device_id: d.device_class for c in self.communities for d in c.devices}
        waiting: list[tuple[float, int, AnyEvent]] = []
        for number, actor in enumerate(actors):
            wait_s, event = next(actor)
            heapq.heappush(waiting, (wait_s, number, cast("AnyEvent", event)))
        while waiting[0][0] < seconds:
            due_s, number, event = waiting[0]
            wait_s, following = next(actors[number])
            heapq.heapreplace(waiting, (due_s + wait_s, number, cast("AnyEvent", following)))
            if not self._muted(event, due_s):
                named = naming.name(event, boxes[event.site_id, event.source_id])
                topic = topic_of(named, classes)
                assert topic is not None  # nothing here is configuration
                yield due_s, topic, msgspec.structs.replace(named, origin=Origin.SIMULATED)

    def file(self, start_ms: int, seconds: float) -> list[AnyEvent]:
        """The same as a file holds it: configuration first, then every event with its time, in order of acceptance."""
        rng = random.Random(f"{self._seed}/delays")
        accepted: list[AnyEvent] = [cast("AnyEvent", record) for record in self.records(start_ms)]
        for due_s, _, event in self.stream(f"{start_ms:x}", seconds):
            at_ms = start_ms + 1 + int(due_s * 1_000)
            accepted.append(stamped(event, at_ms, at_ms + rng.randint(*DELAYS_MS)))
        return _in_order_of_lanes(accepted)

    # --- who does what ------------------------------------------------------------------------------------------------

    def _actors(self, community: Community, rng: random.Random, tracks: Iterator[int]) -> list[Actor]:
        others = tuple(d for d in community.devices if d.device_id not in _CANARIES)
        busy = Situations(msgspec.structs.replace(community, devices=others), 1, rng, tracks).actors([])
        actors = [self._paced(actor) for actor in busy]
        actors += [self._paced(self._resident(community, unit, rng, tracks)) for unit in community.units[1:]]
        actors += [self._canary(community, device, rng) for device in _CANARIES if device != UNHEARD]
        return actors

    def _paced(self, actor: Actor) -> Actor:
        for wait_s, event in actor:
            yield wait_s / self._pace, event

    def _resident(self, community: Community, unit: Unit, rng: random.Random, tracks: Iterator[int]) -> Actor:
        """People who show a credential, one after another."""
        gate = head(community.site_id, unit.gate_id, unit.door_id)
        yield rng.uniform(0, 1), AccessAttempted(**gate, credential=Credential.CARD, granted=True)
        while True:
            yield 0.2, DoorChanged(**gate, state=DoorState.OPEN)
            yield 0.3, passage(community.site_id, unit, next(tracks))
            yield 0.5, DoorChanged(**gate, state=DoorState.CLOSED)
            yield 0.5, AccessAttempted(**gate, credential=Credential.CARD, granted=True)

    def _canary(self, community: Community, device_id: str, rng: random.Random) -> Actor:
        itself = head(community.site_id, device_id, community.device(device_id).place_id)
        yield rng.uniform(0, HEARTBEAT_S), DeviceReported(**itself)
        while True:
            yield HEARTBEAT_S, DeviceReported(**itself)

    def _muted(self, event: AnyEvent, due_s: float) -> bool:
        span = self._mutes.get((event.site_id, event.source_id))
        return span is not None and span[0] <= due_s < span[1]


def mutes_of(seed: int, sites: int, seconds: float, for_s: float) -> tuple[Mute, ...]:
    """One canary of every site says nothing for ``for_s`` at some time of its own."""
    rng = random.Random(f"{seed}/mutes")
    return tuple(
        Mute(_site_id(number), f"canary-{rng.randrange(CANARIES)}", from_s, from_s + for_s)
        for number in range(sites)
        if (from_s := rng.uniform(5.0, max(6.0, seconds - for_s)))
    )


def stamped(event: AnyEvent, at_ms: int, received_ms: int = 0) -> AnyEvent:
    """``event`` as it happens at ``at_ms``."""
    if isinstance(event, ObjectFell):
        event = msgspec.structs.replace(event, started_ms=at_ms - event.duration_ms)
    return msgspec.structs.replace(event, at_ms=at_ms, received_ms=received_ms)


def _in_order_of_lanes(events: list[AnyEvent]) -> list[AnyEvent]:
    """By ``received_ms``, but what one source or box said stays in the order in which it was said."""
    last: dict[tuple[str, str], int] = {}
    placed: list[AnyEvent] = []
    for event in events:
        speaker = (event.site_id, event.source_id if event.spool is None else event.spool.box_id)
        received_ms = max(event.received_ms, last.get(speaker, 0))
        last[speaker] = received_ms
        placed.append(msgspec.structs.replace(event, received_ms=received_ms))
    return sorted(placed, key=lambda event: event.received_ms)


def _site_id(number: int) -> str:
    return f"site-{number + 1:02d}"


def _community(seed: int, number: int) -> Community:
    """Nobody but the canaries is missed when nothing is heard."""
    site_id = _site_id(number)
    built = build_community(random.Random(f"{seed}/{site_id}"), site_id, f"Site {number + 1}", PLAN)
    devices = [msgspec.structs.replace(device, silent_after_ms=None) for device in built.devices]
    place_id = built.units[0].lobby_id
    canaries = [
        Device(
            device_id=device_id,
            device_class=DeviceClass.SENSOR,
            place_id=place_id,
            heartbeat_ms=int(HEARTBEAT_S * 1_000),
            silent_after_ms=int(SILENT_S * 1_000),
        )
        for device_id in _CANARIES
    ]
    return msgspec.structs.replace(built, devices=(*devices, *canaries))
