"""A facade and the camera that looks up at it: heights to rows, and the calibration an engineer would click."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np

from simulator.scenes.pinhole import Pinhole
from simulator.scenes.truth import Calibration, CalibrationEdge

WIDTH_PX, HEIGHT_PX = 640, 360
BALCONY_M = 1.3
"""How far balconies stand out. Falls and storey edges lie in the plane of their fronts."""
EYE_M = 1.6


@dataclass(frozen=True)
class Facade:
    """Sizes in metres; ``camera`` stands at x = 0 and looks along z, so that level edges are level in the picture."""

    distance_m: float
    half_width_m: float
    storey_m: float
    storeys: int
    bays: int
    camera: Pinhole

    @property
    def front_z(self) -> float:
        """Distance of the balconies' fronts."""
        return self.distance_m - BALCONY_M

    def slab_m(self, floor: int) -> float:
        """Return height of the floor slab of a storey; 0 is the ground floor."""
        return 0.4 + floor * self.storey_m

    def pixel(self, x: float, height_m: float, z: float | None = None) -> tuple[float, float]:
        """Return where a point of the balconies' plane (or of depth ``z``) stands on the picture, px."""
        at = np.array([(x, height_m, self.front_z if z is None else z)])
        pixels, _ = self.camera.project(at)
        return float(pixels[0, 0]), float(pixels[0, 1])

    def row(self, floor: int) -> float:
        """Return the picture row of a storey's slab, px."""
        return self.pixel(0.0, self.slab_m(floor))[1]

    def scale(self, height_m: float) -> float:
        """Return pixels per metre, across, in the balconies' plane at a height."""
        (x0, _), (x1, _) = self.pixel(0.0, height_m), self.pixel(1.0, height_m)
        return x1 - x0

    def calibration(self) -> Calibration:
        """Return the lowest, a middle and the highest slab edge that the picture shows."""
        shown = [k for k in range(self.storeys) if 4 <= self.row(k) <= HEIGHT_PX - 4]
        low, middle, high = shown[0], shown[len(shown) // 2], shown[-1]
        edges = [CalibrationEdge(k + 1, round(self.row(k), 2), round(self.slab_m(k), 2)) for k in (low, middle, high)]
        return Calibration((edges[0], edges[1], edges[2]), self.storey_m)

    def floors_shown(self) -> list[int]:
        """Return storeys whose railing is in the picture."""
        return [k for k in range(self.storeys) if 6 <= self.pixel(0.0, self.slab_m(k) + 1.1)[1] <= HEIGHT_PX - 10]


def some_facade(rng: Random) -> Facade:
    """Return a random building of 12 to 15 storeys, 18 to 23 m away."""
    distance, up = rng.uniform(18.0, 23.0), math.radians(rng.uniform(33.0, 37.0))
    camera = Pinhole(
        (0.0, EYE_M, 0.0), (0.0, EYE_M + distance * math.tan(up), distance), rng.uniform(420, 470), WIDTH_PX, HEIGHT_PX
    )
    return Facade(
        distance_m=distance,
        half_width_m=rng.uniform(8.5, 11.0),
        storey_m=rng.choice((2.8, 2.9, 3.0)),
        storeys=rng.randrange(12, 16),
        bays=rng.choice((4, 5, 6)),
        camera=camera,
    )
