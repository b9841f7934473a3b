"""A camera before a facade, for composites: world metres (x right, y up from the ground, z towards the facade)."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.geometry.facade import FacadeGeometry, StoreyEdge

Floats = npt.NDArray[np.float64]
STOREY_M = 3.0


class FacadeCamera(msgspec.Struct, frozen=True, kw_only=True):
    """A pinhole ``eye_m`` above the ground, ``distance_m`` before the facade, pitched up by ``pitch_rad``."""

    width: int
    height: int
    focal_px: float
    pitch_rad: float
    eye_m: float
    distance_m: float

    def project(self, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return column, row (px) and depth (m) of a world point; depth ≤ 0 is behind the lens."""
        x, up, z = point[0], point[1] - self.eye_m, point[2]
        cos, sin = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        depth = z * cos + up * sin
        if depth <= 0.05:
            return 0.0, 0.0, -1.0
        row = self.height / 2 + self.focal_px * (z * sin - up * cos) / depth
        return self.width / 2 + self.focal_px * x / depth, row, depth

    def height_at_row(self, row_px: float) -> float:
        """Return the height (m) on the facade that row ``row_px`` shows."""
        up = math.tan(self.pitch_rad + math.atan2(self.height / 2 - row_px, self.focal_px))
        return self.eye_m + self.distance_m * up

    def world_at(self, column_px: float, row_px: float, depth_m: float) -> tuple[float, float, float]:
        """Return the world point at ``depth_m`` along the axis that a pixel shows."""
        x = (column_px - self.width / 2) * depth_m / self.focal_px
        down = (row_px - self.height / 2) * depth_m / self.focal_px
        cos, sin = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        return x, self.eye_m + depth_m * sin - down * cos, depth_m * cos + down * sin

    def geometry(self, random: np.random.Generator, click_error_px: float) -> FacadeGeometry:
        """Return three storey edges as an operator would click them, each off by ``click_error_px`` (σ)."""
        top = self.height_at_row(0.06 * self.height)
        bottom = max(self.height_at_row(0.97 * self.height), 0.0)
        floors = np.round(np.linspace(bottom / STOREY_M + 1.2, min(top, 200.0) / STOREY_M + 0.8, 3), 1)
        edges = []
        for floor in floors.tolist():
            _, row, _ = self.project((0.0, (floor - 1.0) * STOREY_M, self.distance_m))
            edges.append(StoreyEdge(floor, row + float(random.normal(0.0, click_error_px))))
        return FacadeGeometry(storey_edges=tuple(edges), storey_height_m=STOREY_M)


def random_camera(random: np.random.Generator, width: int, height: int) -> FacadeCamera:
    """Return a camera as they are mounted: 10–40 m away, 45–85° wide, looking up at three storeys or more."""
    while True:
        camera = _mounted(random, width, height)
        if camera.height_at_row(0.06 * height) - max(camera.height_at_row(0.97 * height), 0.0) >= 10.0:
            return camera


def _mounted(random: np.random.Generator, width: int, height: int) -> FacadeCamera:
    field = math.radians(random.uniform(45.0, 85.0))
    focal = width / 2 / math.tan(field / 2)
    half = math.atan(height / 2 / focal)
    bottom_ray = math.radians(random.uniform(-8.0, 6.0))  # the lowest row looks about level
    pitch = min(bottom_ray + half, math.radians(65.0))
    return FacadeCamera(
        width=width,
        height=height,
        focal_px=focal,
        pitch_rad=pitch,
        eye_m=float(random.uniform(1.5, 4.0)),
        distance_m=float(random.uniform(10.0, 40.0)),
    )
