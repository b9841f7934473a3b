"""The cabin and the landing as meshes: x across, y up, z from the rear wall to the doors."""

from __future__ import annotations

from random import Random

import numpy as np

from simulator.scenes.mesh import Colour, Mesh, MeshBuilder, shaded
from simulator.scenes.pinhole import Pinhole

HALF_WIDTH_M = 0.95
DOOR_Z_M = 2.3
CEILING_M = 2.45
DOOR_HALF_M = 0.58
DOOR_TOP_M = 2.12
_STEELS: tuple[Colour, ...] = ((150, 156, 160), (125, 132, 138), (140, 165, 185), (105, 110, 116), (170, 172, 170))
_FLOORS: tuple[Colour, ...] = ((110, 120, 130), (80, 85, 90), (130, 145, 160), (70, 75, 95), (100, 90, 80))
_POSTERS: tuple[Colour, ...] = ((60, 90, 210), (190, 140, 60), (90, 170, 110), (200, 190, 235))


def build_cabin(rng: Random) -> tuple[Mesh, Colour]:
    """Return the cabin's walls, floor, rail, panel and poster; and the colour of its doors."""
    steel, floor = rng.choice(_STEELS), rng.choice(_FLOORS)
    cabin = MeshBuilder()
    _floor(cabin, floor)
    for side in (-1.0, 1.0):
        _wall(cabin, side * HALF_WIDTH_M, steel)
        x = side * (HALF_WIDTH_M - 0.06)
        cabin.tube([(x, 0.9, 0.2), (x, 0.9, DOOR_Z_M - 0.5)], 0.018, (190, 195, 198))
    _front(cabin, shaded(steel, 0.92))
    _panel(cabin)
    _poster(cabin, rng)
    return cabin.build(), shaded(steel, rng.uniform(0.85, 1.1))


def build_landing(rng: Random) -> Mesh:
    """Return what is seen through the open doors: a floor with tiles, a wall, a bin."""
    tile, wall = (
        rng.choice(((150, 160, 168), (120, 128, 135), (165, 170, 172))),
        rng.choice(((185, 195, 200), (160, 175, 190))),
    )
    landing, z = MeshBuilder(), DOOR_Z_M
    landing.plate([(-2.5, 0, z), (2.5, 0, z), (2.5, 0, 5.4), (-2.5, 0, 5.4)], tile)
    for i in range(1, 6):
        landing.tube([(-2.5, 0.0, z + 0.6 * i), (2.5, 0.0, z + 0.6 * i)], 0.005, shaded(tile, 0.82))
    for i in range(-3, 4):
        landing.tube([(0.6 * i, 0.0, z), (0.6 * i, 0.0, 5.4)], 0.005, shaded(tile, 0.82))
    landing.plate([(-2.5, 0, 5.4), (2.5, 0, 5.4), (2.5, 2.8, 5.4), (-2.5, 2.8, 5.4)], wall)
    landing.plate([(-2.5, 0, 5.38), (2.5, 0, 5.38), (2.5, 0.15, 5.38), (-2.5, 0.15, 5.38)], shaded(wall, 0.6))
    landing.limb((1.1, 0.05, 4.9), (1.1, 0.6, 4.9), 0.18, 0.2, (70, 110, 60))
    return landing.build()


def display_corner(camera: Pinhole) -> tuple[int, int]:
    """Return where the floor number stands on the picture, px."""
    pixels, _ = camera.project(np.array([(HALF_WIDTH_M - 0.33, 1.72, DOOR_Z_M - 0.01)], float))
    return int(pixels[0, 0]) - 2, int(pixels[0, 1])


def _floor(cabin: MeshBuilder, colour: Colour) -> None:
    w, z = HALF_WIDTH_M, DOOR_Z_M
    cabin.plate([(-w, 0, -0.4), (w, 0, -0.4), (w, 0, z), (-w, 0, z)], colour)
    cabin.tube(
        [(-w + 0.12, 0, 0.0), (w - 0.12, 0, 0.0), (w - 0.12, 0, z - 0.12), (-w + 0.12, 0, z - 0.12)],
        0.012,
        shaded(colour, 0.7),
        closed=True,
    )
    cabin.plate(
        [
            (-DOOR_HALF_M, 0.002, z - 0.05),
            (DOOR_HALF_M, 0.002, z - 0.05),
            (DOOR_HALF_M, 0.002, z),
            (-DOOR_HALF_M, 0.002, z),
        ],
        (90, 95, 98),
    )


def _wall(cabin: MeshBuilder, x: float, steel: Colour) -> None:
    """Paint three sheets a side, each of its own shine."""
    edges = (-0.4, 0.55, 1.45, DOOR_Z_M)
    for z0, z1, factor in zip(edges, edges[1:], (0.85, 1.02, 0.92), strict=False):
        for i in range(4):
            y0, y1 = CEILING_M * i / 4, CEILING_M * (i + 1) / 4
            cabin.plate([(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)], shaded(steel, factor * (0.86 + 0.09 * i)))
        cabin.tube([(x, 0.0, z1), (x, CEILING_M, z1)], 0.006, shaded(steel, 0.6))
    cabin.plate(
        [(x * 0.999, 0, -0.4), (x * 0.999, 0, DOOR_Z_M), (x * 0.999, 0.09, DOOR_Z_M), (x * 0.999, 0.09, -0.4)],
        shaded(steel, 0.55),
    )


def _front(cabin: MeshBuilder, steel: Colour) -> None:
    z = DOOR_Z_M
    for x0, x1 in ((-HALF_WIDTH_M, -DOOR_HALF_M), (DOOR_HALF_M, HALF_WIDTH_M)):
        cabin.plate([(x0, 0, z), (x1, 0, z), (x1, CEILING_M, z), (x0, CEILING_M, z)], steel)
    x = DOOR_HALF_M
    cabin.plate([(-x, DOOR_TOP_M, z), (x, DOOR_TOP_M, z), (x, CEILING_M, z), (-x, CEILING_M, z)], shaded(steel, 1.05))


def _panel(cabin: MeshBuilder) -> None:
    """Paint buttons and display on the front wall."""
    x0, x1, z = HALF_WIDTH_M - 0.3, HALF_WIDTH_M - 0.1, DOOR_Z_M - 0.01
    cabin.plate([(x0, 0.85, z), (x1, 0.85, z), (x1, 1.85, z), (x0, 1.85, z)], (60, 64, 68))
    cabin.plate(
        [
            (x0 - 0.02, 1.68, z - 0.01),
            (x1 + 0.02, 1.68, z - 0.01),
            (x1 + 0.02, 1.84, z - 0.01),
            (x0 - 0.02, 1.84, z - 0.01),
        ],
        (20, 20, 22),
    )
    for row in range(7):
        for column in (0.06, 0.14):
            cabin.ball((x0 + column, 0.95 + row * 0.1, z - 0.02), 0.024, (210, 215, 215))


def _poster(cabin: MeshBuilder, rng: Random) -> None:
    side = rng.choice((-1.0, 1.0))
    x, z0, colour = side * (HALF_WIDTH_M - 0.01), rng.uniform(0.7, 1.1), rng.choice(_POSTERS)
    frame = [(x, 1.15, z0), (x, 1.15, z0 + 0.45), (x, 1.8, z0 + 0.45), (x, 1.8, z0)]
    cabin.plate(frame, colour).tube(frame, 0.012, (200, 205, 205), closed=True)
    for i in range(3):
        y = 1.6 - 0.12 * i
        inner = x - side * 0.005
        cabin.tube([(inner, y, z0 + 0.08), (inner, y, z0 + 0.37 - 0.08 * (i % 2))], 0.014, (245, 245, 245))
