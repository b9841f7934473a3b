"""People: clothed, walking, standing, pushing or sitting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from simulator.scenes.mesh import Colour, Mesh, MeshBuilder, shaded
from simulator.scenes.pinhole import Vec

STRIDE_M = 1.35
"""Ground covered by one full walking cycle of a 1.7 m person."""

_SKIN: tuple[Colour, ...] = ((150, 185, 230), (130, 165, 215), (105, 140, 190), (80, 110, 165))
_HAIR: tuple[Colour, ...] = ((25, 25, 30), (35, 40, 55), (60, 70, 90), (150, 150, 155))
_TOPS: tuple[Colour, ...] = (
    (60, 60, 200), (200, 120, 40), (60, 150, 70), (40, 40, 45), (210, 210, 215), (40, 170, 220),
    (150, 70, 150), (120, 120, 125), (90, 60, 30), (180, 190, 120), (70, 90, 160),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (70, 50, 35),
    (45, 45, 50),
    (110, 85, 60),
    (90, 100, 120),
    (160, 165, 170),
    (30, 30, 35),
)


@dataclass(frozen=True)
class Look:
    """The look of a person; lengths in metres."""

    height_m: float
    girth: float
    skin: Colour
    hair: Colour
    top: Colour
    trousers: Colour
    shoes: Colour
    long_hair: bool
    backpack: Colour | None
    helmet: Colour | None


def some_look(rng: Random, *, child: bool = False) -> Look:
    """Return a random person."""
    return Look(
        height_m=rng.uniform(0.95, 1.35) if child else rng.uniform(1.52, 1.84),
        girth=rng.uniform(0.88, 1.18),
        skin=rng.choice(_SKIN),
        hair=rng.choice(_HAIR),
        top=_varied(rng, rng.choice(_TOPS)),
        trousers=_varied(rng, rng.choice(_TROUSERS)),
        shoes=rng.choice(((30, 30, 35), (220, 220, 225), (60, 60, 160))),
        long_hair=rng.random() < 0.4,
        backpack=_varied(rng, rng.choice(_TOPS)) if rng.random() < 0.2 else None,
        helmet=None,
    )


def person(look: Look, phase: float, swing: float, *, reach: float = 0.0, seated: bool = False) -> Mesh:
    """Return a person at the origin looking along x.

    Args:
        look: The person.
        phase: Where in the walking cycle, in cycles.
        swing: 0 stands, 1 walks with full strides.
        reach: 0 arms hang, 1 hands are held forward (pushing).
        seated: Sitting on a seat half a metre above the ground.
    """
    body = MeshBuilder()
    hip_y = 0.55 if seated else 0.92
    bob = 0.02 * swing * math.cos(4 * math.pi * phase)
    for side in (-1.0, 1.0):
        angle = swing * 0.5 * math.sin(2 * math.pi * phase) * side
        _leg(body, look, side, angle, hip_y + bob, seated=seated)
    _trunk(body, look, hip_y + bob)
    for side in (-1.0, 1.0):
        angle = -swing * 0.55 * math.sin(2 * math.pi * phase) * side
        _arm(body, look, side, angle, hip_y + bob, reach=reach)
    _head(body, look, hip_y + bob)
    return body.build(look.height_m / 1.7)


def _leg(body: MeshBuilder, look: Look, side: float, angle: float, hip_y: float, *, seated: bool) -> None:
    girth = look.girth
    hip: Vec = (0.0, hip_y, 0.09 * side)
    if seated:
        knee: Vec = (0.42, hip_y + 0.02, 0.1 * side)
        ankle: Vec = (0.5, hip_y - 0.4, 0.1 * side)
    else:
        knee = (0.45 * math.sin(angle), hip_y - 0.45 * math.cos(angle), 0.09 * side)
        bend = angle - (0.55 * max(0.0, -angle) + 0.1 * abs(angle))
        ankle = (knee[0] + 0.42 * math.sin(bend), knee[1] - 0.42 * math.cos(bend), 0.09 * side)
    body.limb(
        (ankle[0], ankle[1] - 0.04, ankle[2]), (ankle[0] + 0.16, ankle[1] - 0.05, ankle[2]), 0.05, 0.035, look.shoes
    )
    body.limb(hip, knee, 0.088 * girth, 0.062 * girth, look.trousers)
    body.limb(knee, ankle, 0.06 * girth, 0.045, shaded(look.trousers, 0.95))


def _trunk(body: MeshBuilder, look: Look, hip_y: float) -> None:
    girth = look.girth
    for side in (-1.0, 1.0):
        shoulder: Vec = (0.0, hip_y + 0.46, 0.13 * side)
        body.limb((0.0, hip_y + 0.02, 0.06 * side), shoulder, 0.115 * girth, 0.095 * girth, look.top)
    body.limb((0.02, hip_y + 0.05, 0.0), (0.01, hip_y + 0.42, 0.0), 0.135 * girth, 0.125 * girth, look.top)
    if look.backpack is not None:
        body.limb((-0.17, hip_y + 0.15, 0.0), (-0.17, hip_y + 0.4, 0.0), 0.13, 0.11, look.backpack)


def _arm(body: MeshBuilder, look: Look, side: float, angle: float, hip_y: float, *, reach: float) -> None:
    shoulder: Vec = (0.0, hip_y + 0.47, 0.2 * side * look.girth)
    upper = angle + reach * 0.75
    elbow: Vec = (0.28 * math.sin(upper), shoulder[1] - 0.28 * math.cos(upper), shoulder[2] * 1.08)
    lower = upper + 0.25 + reach * 0.55
    hand: Vec = (elbow[0] + 0.25 * math.sin(lower), elbow[1] - 0.25 * math.cos(lower), elbow[2] * (1 - 0.15 * reach))
    body.limb(shoulder, elbow, 0.062 * look.girth, 0.05, shaded(look.top, 0.94))
    body.limb(elbow, hand, 0.047, 0.036, shaded(look.top, 0.9))
    body.ball(hand, 0.045, look.skin)


def _head(body: MeshBuilder, look: Look, hip_y: float) -> None:
    neck, centre = hip_y + 0.53, hip_y + 0.67
    body.limb((0.0, neck, 0.0), (0.0, neck + 0.06, 0.0), 0.055, 0.05, shaded(look.skin, 0.85))
    body.limb((0.015, centre - 0.04, 0.0), (0.0, centre + 0.03, 0.0), 0.082, 0.1, look.skin)
    if look.helmet is not None:
        body.limb((-0.03, centre + 0.02, 0.0), (0.02, centre + 0.06, 0.0), 0.125, 0.125, look.helmet)
        return
    body.limb((-0.035, centre + 0.01, 0.0), (-0.01, centre + 0.055, 0.0), 0.098, 0.1, look.hair)
    if look.long_hair:
        body.limb((-0.07, centre, 0.0), (-0.09, centre - 0.2, 0.0), 0.085, 0.07, look.hair)


def _varied(rng: Random, colour: Colour) -> Colour:
    blue, green, red = (min(255, max(0, int(c * rng.uniform(0.75, 1.2) + rng.uniform(-15, 15)))) for c in colour)
    return (blue, green, red)
