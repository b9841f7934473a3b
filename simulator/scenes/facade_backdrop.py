"""The still part of a facade: sky, wall, windows, balconies, air conditioners, drawn once at twice the size."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from simulator.scenes.facade_geometry import BALCONY_M, Facade
from simulator.scenes.mesh import Colour, MeshBuilder, shaded
from simulator.scenes.painter import Image, items_of, paint_in_order
from simulator.scenes.pinhole import Pinhole, Vec
from simulator.scenes.room import lit

_WALLS: tuple[Colour, ...] = ((175, 195, 210), (150, 175, 200), (190, 195, 198), (140, 160, 190), (165, 180, 175))
_GLASS: tuple[Colour, ...] = ((120, 100, 80), (95, 80, 65), (140, 120, 95))
_CURTAINS: tuple[Colour, ...] = ((200, 205, 215), (120, 150, 190), (160, 140, 120), (150, 170, 150))


def draw_backdrop(facade: Facade, rng: Random, seed: int) -> Image:
    """Return the empty facade, BGR, without trees."""
    small = facade.camera
    camera = Pinhole(small.eye, small.target, small.focal_px * 2, small.width * 2, small.height * 2)
    image = _sky(camera.width, camera.height, rng)
    building = MeshBuilder()
    _wall(building, facade, rng.choice(_WALLS), rng)
    mesh = building.build()
    paint_in_order(image, items_of(mesh, mesh.points, camera))
    return lit(
        cv2.resize(image, (small.width, small.height), interpolation=cv2.INTER_AREA).astype(np.uint8), 0.18, seed
    )


def _sky(width: int, height: int, rng: Random) -> Image:
    """Return a gradient with soft clouds."""
    top, low = np.array([225.0, 185.0, 140.0], np.float32), np.array([240.0, 228.0, 212.0], np.float32)
    small_width, small_height = width // 4, height // 4
    share = np.linspace(0, 1, small_height, dtype=np.float32)[:, None, None]
    image = np.repeat(top * (1 - share) + low * share, small_width, axis=1)
    for _ in range(10):
        layer = np.zeros((small_height, small_width), np.float32)
        centre = (rng.randrange(small_width), rng.randrange(small_height // 2))
        cv2.ellipse(layer, centre, (rng.randrange(15, 45), rng.randrange(4, 11)), 0, 0, 360, 0.5, -1)
        soft = cv2.GaussianBlur(layer, (0, 0), 4.5)[..., None]
        image = image * (1 - soft) + 246.0 * soft
    large: Image = cv2.resize(np.clip(image, 0, 255).astype(np.uint8), (width, height)).astype(np.uint8)
    return large


def _wall(building: MeshBuilder, facade: Facade, colour: Colour, rng: Random) -> None:
    half, z, top = facade.half_width_m, facade.distance_m, facade.slab_m(facade.storeys)
    for floor in range(-1, facade.storeys):
        y0, y1 = facade.slab_m(floor), facade.slab_m(floor + 1)
        building.plate(
            [(-half, y0, z), (half, y0, z), (half, y1, z), (-half, y1, z)], shaded(colour, 0.94 + 0.02 * (floor % 2))
        )
        building.plate(
            [(-half, y0 - 0.12, z), (half, y0 - 0.12, z), (half, y0 + 0.12, z), (-half, y0 + 0.12, z)],
            shaded(colour, 0.82),
        )
    bay = 2 * half / facade.bays
    for floor in range(facade.storeys - 1, -1, -1):
        for i in range(facade.bays):
            centre = -half + bay * (i + 0.5)
            if i % 2 == 0:
                _balcony(building, facade, centre, bay * 0.78, floor, colour, rng)
            else:
                _windows(building, facade, centre, bay, floor, rng)
    building.plate([(-half, top, z), (half, top, z), (half, top + 0.9, z), (-half, top + 0.9, z)], shaded(colour, 0.75))


def _windows(building: MeshBuilder, facade: Facade, centre: float, bay: float, floor: int, rng: Random) -> None:
    """Paint two windows, sometimes with a curtain, an open wing or an air conditioner below."""
    z, y = facade.distance_m - 0.02, facade.slab_m(floor)
    for x in (centre - bay * 0.24, centre + bay * 0.24):
        _window(building, x, 0.62, y + 0.95, 1.5, z, rng)
    if rng.random() < 0.6:
        x = centre + rng.choice((-0.24, 0.24)) * bay
        building.box((x, y + 0.45, z - 0.2), (0.8, 0.55, 0.34), (215, 218, 220))
        building.limb((x - 0.1, y + 0.45, z - 0.38), (x - 0.1, y + 0.45, z - 0.38), 0.2, 0.2, (110, 112, 115))


def _window(building: MeshBuilder, x: float, half: float, y: float, tall: float, z: float, rng: Random) -> None:
    glass = shaded(rng.choice(_GLASS), rng.uniform(0.75, 1.15))
    corners = _upright(x, half, y, y + tall, z)
    building.plate(corners, glass)
    building.plate([corners[0], (x - half * 0.2, y, z), (x + half, y + tall, z), corners[3]], shaded(glass, 1.3))
    if rng.random() < 0.5:
        share = rng.uniform(0.25, 0.8)
        building.plate(
            [corners[0], (x - half + 2 * half * share, y, z), (x - half + 2 * half * share, y + tall, z), corners[3]],
            rng.choice(_CURTAINS),
        )
    building.tube(corners, 0.05, (225, 225, 225), closed=True).tube(
        [(x, y, z), (x, y + tall, z)], 0.035, (225, 225, 225)
    )
    building.plate(
        [(x - half - 0.1, y - 0.12, z), (x + half + 0.1, y - 0.12, z), (x + half + 0.1, y, z), (x - half - 0.1, y, z)],
        (190, 190, 190),
    )


def _balcony(
    building: MeshBuilder, facade: Facade, centre: float, wide: float, floor: int, colour: Colour, rng: Random
) -> None:
    """Paint a slab with its underside, the room's door behind, and a railing in front."""
    y, back, front, half = facade.slab_m(floor), facade.distance_m - 0.02, facade.front_z, wide / 2
    building.plate(_upright(centre, half, y, y + 2.5, back), shaded(colour, 0.6))
    _window(building, centre, half * 0.6, y + 0.1, 2.1, back, rng)
    under, y0 = shaded(colour, 0.5), y - 0.14
    building.plate(
        [(centre - half, y0, back), (centre + half, y0, back), (centre + half, y0, front), (centre - half, y0, front)],
        under,
    )
    building.plate(_upright(centre, half, y0, y, front), shaded(colour, 1.02))
    _railing(building, centre, wide, y, front, colour, rng)
    for side in (-half, half):
        building.plate(
            [
                (centre + side, y, back),
                (centre + side, y, front),
                (centre + side, y + 1.0, front),
                (centre + side, y + 1.0, back),
            ],
            shaded(colour, 0.72),
        )


def _railing(
    building: MeshBuilder, centre: float, wide: float, y: float, front: float, colour: Colour, rng: Random
) -> None:
    """Paint a wall, a pane or bars, and the rail on top."""
    half, style = wide / 2, rng.random()
    if style < 0.35:
        building.plate(_upright(centre, half, y, y + 1.0, front), shaded(colour, 0.9))
    elif style < 0.6:
        building.plate(_upright(centre, half, y + 0.1, y + 0.95, front), (185, 170, 150))
    else:
        for i in range(13):
            x = centre - half + wide * i / 12
            building.tube([(x, y, front), (x, y + 1.0, front)], 0.02, (90, 92, 96))
    building.tube([(centre - half, y + 1.05, front), (centre + half, y + 1.05, front)], 0.04, (120, 122, 126))


def _upright(centre: float, half: float, low: float, high: float, z: float) -> list[Vec]:
    """Return corners of a rectangle that faces the camera."""
    return [(centre - half, low, z), (centre + half, low, z), (centre + half, high, z), (centre - half, high, z)]


def hanging_places(facade: Facade, rng: Random, count: int) -> list[tuple[float, float, float]]:
    """Return where laundry hangs: (x, height, z) of the upper edge, under balcony ceilings or on railings."""
    bay = 2 * facade.half_width_m / facade.bays
    shown = facade.floors_shown()
    places = []
    for _ in range(count):
        i = rng.choice(range(0, facade.bays, 2))
        x = -facade.half_width_m + bay * (i + 0.5) + rng.uniform(-0.28, 0.28) * bay
        places.append(
            (x, facade.slab_m(rng.choice(shown)) + rng.uniform(1.0, 2.2), facade.distance_m - BALCONY_M * 0.97)
        )
    return places
