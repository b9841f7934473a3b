"""A pinhole camera: world metres (x right, y up, z away) to pixels (x right, y down)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Vec = tuple[float, float, float]

NEAR_M = 0.12
"""Nothing closer to the lens than this is drawn."""


@dataclass(frozen=True)
class Pinhole:
    """A camera at ``eye`` looking at ``target``; ``focal_px`` is in pixels of a ``width`` × ``height`` picture."""

    eye: Vec
    target: Vec
    focal_px: float
    width: int
    height: int
    rotation: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the rotation: its rows are the camera's right, down and forward axes in the world."""
        forward = np.asarray(self.target, float) - np.asarray(self.eye, float)
        forward /= np.linalg.norm(forward)
        right = np.cross((0.0, 1.0, 0.0), forward)
        right /= np.linalg.norm(right)
        object.__setattr__(self, "rotation", np.stack([right, np.cross(right, forward), forward]))

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Project world points (N,3) to pixels (N,2) and depth along the axis (N,) in metres, at least ``NEAR_M``/2."""
        local = (points - np.asarray(self.eye)) @ self.rotation.T
        depth = local[:, 2]
        safe = np.maximum(depth, NEAR_M / 2)
        pixels = local[:, :2] * (self.focal_px / safe)[:, None]
        pixels[:, 0] += self.width / 2
        pixels[:, 1] += self.height / 2
        return pixels, depth
