"""What must not be taken for an e-bike: wheelchairs, prams and ride-on toys. Centre at the origin, front along x."""

from __future__ import annotations

import math
from random import Random

from simulator.scenes.mesh import Colour, Mesh, MeshBuilder, shaded
from simulator.scenes.two_wheelers import some_paint

_TYRE: Colour = (40, 40, 44)
_STEEL: Colour = (165, 168, 172)
_BLACK: Colour = (48, 48, 52)


def wheelchair(rng: Random) -> Mesh:
    """Return a wheelchair; one in four is electric, with a battery box below the seat and a joystick."""
    chair, cloth = MeshBuilder(), rng.choice((_BLACK, (110, 60, 30), (60, 60, 150), (70, 90, 60)))
    electric = rng.random() < 0.25
    radius = 0.18 if electric else 0.3
    for side in (-1.0, 1.0):
        chair.wheel(
            (-0.18, radius, 0.29 * side),
            radius - 0.015,
            0.022 if not electric else 0.04,
            _TYRE,
            _STEEL,
            0 if electric else 5,
        )
        chair.wheel((0.32, 0.09, 0.22 * side), 0.075, 0.022, _TYRE, _STEEL)
        z = 0.24 * side
        chair.tube([(-0.34, 0.95, z), (-0.24, 0.92, z), (-0.2, 0.5, z), (-0.16, 0.3, z)], 0.014, _STEEL)
        chair.tube([(-0.22, 0.7, z), (0.18, 0.7, z), (0.2, 0.5, z), (0.42, 0.14, z)], 0.014, _STEEL)
        chair.tube([(-0.2, 0.5, z), (0.22, 0.5, z), (0.32, 0.1, z)], 0.014, _STEEL)
        chair.limb((-0.1, 0.72, z), (0.16, 0.72, z), 0.032, 0.032, _BLACK)
        chair.limb((-0.34, 0.95, z), (-0.42, 0.95, z), 0.022, 0.022, _BLACK)
        chair.plate(
            [(0.38, 0.12, z), (0.56, 0.14, z), (0.56, 0.14, z - 0.15 * side), (0.38, 0.12, z - 0.15 * side)], _BLACK
        )
    chair.plate([(-0.2, 0.5, -0.23), (0.24, 0.5, -0.23), (0.24, 0.5, 0.23), (-0.2, 0.5, 0.23)], cloth)
    chair.plate(
        [(-0.2, 0.52, -0.23), (-0.26, 0.92, -0.23), (-0.26, 0.92, 0.23), (-0.2, 0.52, 0.23)], shaded(cloth, 0.9)
    )
    if electric:
        chair.box((-0.05, 0.32, 0.0), (0.42, 0.2, 0.36), (60, 60, 64)).limb(
            (0.18, 0.74, 0.26), (0.18, 0.84, 0.26), 0.02, 0.03, _BLACK
        )
    return chair.build(rng.uniform(0.95, 1.08))


def pram(rng: Random) -> Mesh:
    """Return a pram or pushchair: four small wheels, a tub, a hood and a push bar at the back."""
    cart, paint = MeshBuilder(), some_paint(rng)
    wheel, tall = rng.uniform(0.09, 0.14), rng.uniform(0.0, 0.1)
    for side in (-1.0, 1.0):
        for x in (-0.32, 0.34):
            cart.wheel((x, wheel, 0.23 * side), wheel - 0.015, 0.02, _TYRE, _STEEL)
        z = 0.21 * side
        cart.tube([(-0.32, wheel, z), (0.1, 0.5 + tall, z), (-0.42, 0.98, z), (-0.5, 1.02, z)], 0.013, _STEEL)
        cart.tube([(0.34, wheel, z), (-0.1, 0.5 + tall, z)], 0.013, _STEEL)
    cart.tube([(-0.5, 1.02, -0.21), (-0.52, 1.04, 0.0), (-0.5, 1.02, 0.21)], 0.02, _BLACK)
    cart.prism([(-0.22, 0.4 + tall), (0.38, 0.44 + tall), (0.44, 0.62 + tall), (-0.3, 0.66 + tall)], 0.2, paint)
    cart.box((0.0, 0.24, 0.0), (0.5, 0.14, 0.34), _BLACK)
    cart.limb((0.12, 0.66 + tall, -0.12), (0.12, 0.66 + tall, 0.12), 0.05, 0.05, (200, 215, 230))
    arc = [(-0.2 + 0.32 * math.cos(a), 0.64 + tall + 0.34 * math.sin(a)) for a in (0.35, 0.9, 1.5, 2.1, 2.8)]
    for (x0, y0), (x1, y1), factor in zip(arc, arc[1:], (1.1, 1.0, 0.9, 0.8), strict=False):
        cart.plate([(x0, y0, -0.22), (x1, y1, -0.22), (x1, y1, 0.22), (x0, y0, 0.22)], shaded(paint, factor))
    for side in (-0.22, 0.22):
        cart.plate([(x, y, side) for x, y in arc] + [(-0.25, 0.62 + tall, side)], shaded(paint, 0.85))
    return cart.build(rng.uniform(0.92, 1.06))


def toy_vehicle(rng: Random) -> Mesh:
    """Return a child's vehicle: a ride-on car, a ride-on motorcycle, or a kick scooter."""
    return rng.choice((_toy_car, _toy_car, _toy_motorcycle, _kick_scooter))(rng)


def _toy_car(rng: Random) -> Mesh:
    car, paint = MeshBuilder(), _bright(rng)
    for side in (-1.0, 1.0):
        for x in (-0.3, 0.32):
            car.wheel((x, 0.12, 0.24 * side), 0.09, 0.035, _TYRE, (200, 200, 205))
    car.prism([(-0.5, 0.14), (0.52, 0.14), (0.52, 0.26), (0.2, 0.36), (-0.5, 0.36)], 0.23, paint)
    car.prism([(-0.5, 0.36), (-0.3, 0.36), (-0.34, 0.5), (-0.48, 0.5)], 0.21, shaded(paint, 0.85))
    car.plate([(0.2, 0.36, -0.2), (0.08, 0.52, -0.18), (0.08, 0.52, 0.18), (0.2, 0.36, 0.2)], (210, 200, 180))
    car.plate([(-0.3, 0.37, -0.16), (0.08, 0.37, -0.16), (0.08, 0.37, 0.16), (-0.3, 0.37, 0.16)], _BLACK)
    car.tube([(0.06, 0.4, 0.0), (-0.02, 0.48, 0.0)], 0.015, _BLACK).limb(
        (-0.02, 0.48, -0.07), (-0.02, 0.48, 0.07), 0.025, 0.025, _BLACK
    )
    for side in (-0.15, 0.15):
        car.ball((0.52, 0.22, side), 0.045, (225, 240, 245))
    return car.build(rng.uniform(0.85, 1.12))


def _toy_motorcycle(rng: Random) -> Mesh:
    toy, paint = MeshBuilder(), _bright(rng)
    for x in (-0.26, 0.28):
        toy.wheel((x, 0.12, 0.0), 0.085, 0.045, _TYRE, _bright(rng))
    for side in (-1.0, 1.0):
        toy.wheel((-0.28, 0.05, 0.14 * side), 0.04, 0.015, _TYRE, _STEEL)
    toy.limb((-0.28, 0.3, 0.0), (0.18, 0.34, 0.0), 0.09, 0.08, paint).limb(
        (-0.3, 0.38, 0.0), (-0.05, 0.38, 0.0), 0.055, 0.045, _BLACK
    )
    toy.tube([(0.28, 0.12, 0.0), (0.2, 0.46, 0.0)], 0.03, paint).ball((0.26, 0.38, 0.0), 0.05, (225, 240, 245))
    toy.tube([(0.17, 0.47, -0.16), (0.19, 0.47, 0.0), (0.17, 0.47, 0.16)], 0.016, _BLACK)
    return toy.build(rng.uniform(0.9, 1.15))


def _kick_scooter(rng: Random) -> Mesh:
    toy, paint = MeshBuilder(), _bright(rng)
    for x in (-0.28, 0.3):
        toy.wheel((x, 0.06, 0.0), 0.045, 0.02, _TYRE, _bright(rng))
    toy.prism([(-0.28, 0.07), (0.2, 0.07), (0.24, 0.11), (-0.28, 0.1)], 0.06, paint)
    toy.tube([(0.3, 0.06, 0.0), (0.22, 0.72, 0.0)], 0.018, _STEEL)
    toy.tube([(0.22, 0.72, -0.16), (0.22, 0.73, 0.16)], 0.018, _bright(rng))
    return toy.build(rng.uniform(0.9, 1.2))


def _bright(rng: Random) -> Colour:
    return rng.choice(((40, 40, 230), (40, 200, 240), (220, 120, 30), (180, 80, 230), (60, 200, 60), (240, 240, 240)))
