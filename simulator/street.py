"""Traffic at a door without a calendar: people come and go at random, as the demo needs it at any hour."""

from __future__ import annotations

import random

from contracts.durations import MINUTE_MS
from contracts.events import Credential
from simulator.community import Unit
from simulator.doors import CREDENTIALS, Door, Person
from simulator.script import Script

PAUSE_S = (100, 420)
STRANGER_SHARE = 0.006


def play_street(script: Script, unit: Unit) -> None:
    """Play scenes at the door of ``unit`` over the whole of the script's time, a few minutes apart."""
    rng = script.stream(f"{unit.unit_id}/street")
    door = Door(script, rng, unit)
    at_ms = script.from_ms + rng.randint(*PAUSE_S) * 1_000
    while at_ms + MINUTE_MS < script.to_ms:
        play_scene(rng, door, at_ms, STRANGER_SHARE)
        at_ms += MINUTE_MS + rng.randint(*PAUSE_S) * 1_000


def resident(rng: random.Random, unit: Unit) -> Person:
    """Return somebody who lives in ``unit``, with a credential for today."""
    return Person(rng.choice(rng.choice(unit.rooms).people), rng.choice(CREDENTIALS))


def play_scene(rng: random.Random, door: Door, at_ms: int, stranger_share: float) -> None:
    """Play one scene: mostly ordinary; with ``stranger_share`` somebody follows a resident in."""
    first, second = resident(rng, door.unit), resident(rng, door.unit)
    if rng.random() < stranger_share:
        door.tailgate(at_ms, first)
        return
    match rng.randrange(12):
        case 0:
            door.deny_then_card(at_ms, Person(first.person_ref, Credential.CARD))
        case 1:
            door.deny(at_ms)
        case 2:
            door.deliver(at_ms)
        case 3:
            door.enter(at_ms, (first, second))
        case n if n < 8:
            door.leave(at_ms, 1)
        case _:
            door.enter(at_ms, (first,))
