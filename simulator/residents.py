"""The day of the people of a unit: they leave and come home alone or in pairs, have visitors and parcels, and now and
then somebody comes in who should not."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from contracts.durations import DAY_MS, HOUR_MS, MINUTE_MS
from contracts.events import Credential, VisitorRegistered
from simulator.community import TIME_ZONE_OFFSET_MS, Room, Unit
from simulator.doors import CREDENTIALS, Door, Person
from simulator.script import Script

SPACING_MS = 45_000
"""Scenes at one door keep this distance, so that each has one true meaning."""
SCENE_MS = 60_000


class Happening(msgspec.Struct, frozen=True):
    """One scene at a door, not before ``at_ms``; ``quiet_ms`` is how long the door must have been unused before."""

    at_ms: int
    quiet_ms: int
    play: Callable[[int], None]


def play_unit(script: Script, unit: Unit) -> None:
    """Play all that happens at the door of ``unit`` in the script's time."""
    rng = script.stream(f"{unit.unit_id}/door")
    door = Door(script, rng, unit)
    happenings: list[Happening] = []
    for midnight in script.local_days():
        for room in unit.rooms:
            happenings += _household(script, rng, door, room, midnight)
        happenings += _oddities(script, rng, door, midnight)
    _play_in_turn(script, unit, happenings)


def _play_in_turn(script: Script, unit: Unit, happenings: list[Happening]) -> None:
    free_ms = script.from_ms
    for happening in sorted(happenings, key=lambda h: h.at_ms):
        at_ms = max(happening.at_ms, free_ms + happening.quiet_ms)
        to_ms = at_ms + SCENE_MS
        usable = all(script.healthy(d, at_ms, to_ms) for d in (unit.gate_id, unit.camera_id("door")))
        # With a box offline its passages come stored: ordinary scenes go on, the ones with a meaning wait for the day.
        if script.holds(at_ms, to_ms) and (usable or happening.quiet_ms == SPACING_MS):
            happening.play(at_ms)
            free_ms = to_ms


# --- ordinary life ----------------------------------------------------------------------------------------------------


def _household(script: Script, rng: random.Random, door: Door, room: Room, midnight: int) -> list[Happening]:
    people = [Person(ref, rng.choice(CREDENTIALS)) for ref in room.people]
    life: list[Happening] = []
    if len(people) > 1 and rng.random() < 0.4:
        life += _walk_together(rng, door, tuple(people[:2]), midnight)
    for person in people:
        for out_hour, back_hour in _trips(rng):
            life.append(_leaving(door, midnight + int(out_hour * HOUR_MS), 1))
            life.append(_coming(door, midnight + int(back_hour * HOUR_MS), (person,)))
    if rng.random() < 0.35:
        life.append(_courier(door, midnight + int(rng.uniform(10, 20) * HOUR_MS)))
    if rng.random() < 0.15:
        life += _visit(script, rng, door, room, midnight)
    return life


def _trips(rng: random.Random) -> list[tuple[float, float]]:
    """Return when someone leaves and returns, in local hours: to work, or to the market and the park."""
    if rng.random() < 0.6:
        trips = [(rng.gauss(8.0, 0.6), rng.gauss(18.4, 0.9))]
        return [*trips, (19.6 + rng.random(), 20.9 + rng.random())] if rng.random() < 0.4 else trips
    morning = rng.uniform(6.5, 9.0)
    return [(morning, morning + rng.uniform(0.8, 2.0)), (15 + rng.random(), 16.6 + rng.random())]


def _walk_together(rng: random.Random, door: Door, pair: tuple[Person, ...], midnight: int) -> list[Happening]:
    out = midnight + int(rng.uniform(18.8, 20.0) * HOUR_MS)
    back = out + rng.randint(30, 80) * MINUTE_MS
    return [_leaving(door, out, len(pair)), _coming(door, back, pair)]


def _leaving(door: Door, at_ms: int, count: int) -> Happening:
    return Happening(at_ms, SPACING_MS, lambda ms: door.leave(ms, count))


def _coming(door: Door, at_ms: int, people: tuple[Person, ...]) -> Happening:
    return Happening(at_ms, SPACING_MS, lambda ms: door.enter(ms, people))


def _courier(door: Door, at_ms: int) -> Happening:
    return Happening(at_ms, SPACING_MS, door.deliver)


def _visit(script: Script, rng: random.Random, door: Door, room: Room, midnight: int) -> list[Happening]:
    at_ms = midnight + int(rng.uniform(9.5, 19.5) * HOUR_MS)
    party = rng.randint(1, 3)
    registration = _register(script, room, door.unit.door_id, at_ms, party)
    return [Happening(at_ms, SPACING_MS, lambda ms: door.visit(ms, registration, party))] if registration else []


def _register(script: Script, room: Room, door_id: str, at_ms: int, party_size: int) -> str | None:
    """Register visitors two hours before they come; None when that lies outside the script's time."""
    registered_ms = at_ms - 2 * HOUR_MS
    if not script.holds(registered_ms, at_ms):
        return None
    day = (at_ms + TIME_ZONE_OFFSET_MS) // DAY_MS
    registration_id = f"v-{room.place_id}-{day}-{at_ms % DAY_MS // 1000}"
    script.say(
        VisitorRegistered(
            **script.header("config", room.place_id, registered_ms),
            version=0,
            registration_id=registration_id,
            host_place_id=room.place_id,
            party_size=party_size,
            from_ms=at_ms - HOUR_MS // 2,
            to_ms=at_ms + 2 * HOUR_MS,
            door_ids=(door_id,),
        )
    )
    return registration_id


# --- the rest ---------------------------------------------------------------------------------------------------------

LONG_QUIET_MS = 3 * MINUTE_MS
"""Before a scene that is wrong the door rests: an unused credential of an earlier one must not explain it."""


def _oddities(script: Script, rng: random.Random, door: Door, midnight: int) -> list[Happening]:
    def resident() -> Person:
        return Person(rng.choice(rng.choice(door.unit.rooms).people), Credential.CARD)

    def at(from_hour: float, to_hour: float) -> int:
        return midnight + int(rng.uniform(from_hour, to_hour) * HOUR_MS)

    tailgater, follower, holder, holder2 = resident(), resident(), resident(), resident()
    wrong: list[tuple[float, int, Callable[[int], None]]] = [
        (0.7, at(9, 22), lambda ms: door.tailgate(ms, tailgater)),
        (0.3, at(10, 21), lambda ms: door.denied_tailgate(ms, follower)),
        (0.4, at(8, 22), lambda ms: door.hold_open(ms, holder)),
        (0.4, at(7, 20), door.slip_in),
        (0.8, at(8, 23), door.deny),
        (0.8, at(8, 21), lambda ms: door.deny_then_card(ms, holder2)),
    ]
    happenings = [Happening(at_ms, LONG_QUIET_MS, play) for chance, at_ms, play in wrong if rng.random() < chance]
    if rng.random() < 0.25:
        happenings += _overfull_visit(script, rng, door, midnight)
    return happenings


def _overfull_visit(script: Script, rng: random.Random, door: Door, midnight: int) -> list[Happening]:
    at_ms = midnight + int(rng.uniform(10, 19) * HOUR_MS)
    party = rng.randint(1, 2)
    registration = _register(script, door.unit.rooms[0], door.unit.door_id, at_ms, party)
    if registration is None:
        return []
    return [Happening(at_ms, LONG_QUIET_MS, lambda ms: door.overfill(ms, registration, party))]
