"""The community's main gate: a turnstile that counts its own passages, one person a credential."""

from __future__ import annotations

import random

from contracts.durations import DAY_MS, HOUR_MS
from contracts.events import AccessAttempted, Credential, Direction, PassageObserved
from simulator.community import MAIN_GATE_ID, MAIN_GATE_PLACE, TIME_ZONE_OFFSET_MS
from simulator.doors import CREDENTIALS
from simulator.script import Script

SHARE_OF_HOUR = (0, 0, 0, 0, 0, 1, 4, 10, 9, 4, 3, 4, 4, 3, 3, 3, 4, 8, 10, 7, 4, 2, 1, 0)
"""How the day's passages fall on the local hours, in relative numbers."""
DAILY = 220
TURN_MS = 6_000


def play_turnstile(script: Script) -> None:
    """Play a day's people through the main gate, inward by credential, outward by the button."""
    rng = script.stream("turnstile")
    days = (script.to_ms - script.from_ms) / DAY_MS
    free_ms = script.from_ms
    for number, moment in enumerate(sorted(_moment(script, rng) for _ in range(int(DAILY * days)))):
        at_ms = max(moment, free_ms)
        free_ms = at_ms + TURN_MS
        if script.healthy(MAIN_GATE_ID, at_ms - TURN_MS, free_ms) and script.holds(at_ms, free_ms):
            _turn(script, rng, at_ms, number)


def _moment(script: Script, rng: random.Random) -> int:
    while True:
        moment = rng.randint(script.from_ms, script.to_ms)
        hour = (moment + TIME_ZONE_OFFSET_MS) % DAY_MS // HOUR_MS
        if rng.random() * max(SHARE_OF_HOUR) < SHARE_OF_HOUR[hour]:
            return moment


def _turn(script: Script, rng: random.Random, at_ms: int, number: int) -> None:
    inward = rng.random() < 0.5
    room = rng.choice(rng.choice(script.community.units).rooms)
    direction = Direction.IN if inward else Direction.OUT
    script.say(
        AccessAttempted(
            **script.header(MAIN_GATE_ID, MAIN_GATE_PLACE, at_ms),
            credential=rng.choice(CREDENTIALS) if inward else Credential.BUTTON,
            granted=True,
            direction=direction,
            person_ref=rng.choice(room.people) if inward else None,
        )
    )
    script.say(
        PassageObserved(
            **script.header(MAIN_GATE_ID, MAIN_GATE_PLACE, at_ms + rng.randint(900, 2_500)),
            direction=direction,
            track_id=number,
        )
    )
