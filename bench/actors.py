"""Things that move in a composite: a shape on a path through the world, drawn with tumbling and motion blur."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from bench.camera_model import FacadeCamera

Luma = npt.NDArray[np.uint8]
Point = tuple[float, float, float]
_SUBPIXEL = 4  # shapes are drawn this much larger and averaged down
_MAX_PATCH_PX = 700


def _always(_t_s: float) -> float:
    return 1.0


class Actor(msgspec.Struct, kw_only=True):
    """One moving shape.

    ``path`` gives its world position (m) at a time (s of the clip); ``outline`` (K, 2) spans about −0.5…0.5 and is
    scaled by ``width_m`` × ``height_m``; ``stretch`` scales its height (a wing's beat), ``visible`` its opacity.
    """

    path: Callable[[float], Point]
    begin_s: float
    end_s: float
    outline: npt.NDArray[np.float64]
    width_m: float
    height_m: float
    grey: float
    spin_rad_s: float = 0.0
    opacity: float = 1.0
    stretch: Callable[[float], float] = _always
    visible: Callable[[float], float] = _always

    def place(self, camera: FacadeCamera, t_s: float) -> tuple[float, float, float] | None:
        """Return column, row and size (px) at a time; None when it is not there or behind the lens."""
        if not self.begin_s <= t_s <= self.end_s:
            return None
        column, row, depth = camera.project(self.path(t_s))
        if depth <= 0:
            return None
        return column, row, max(self.width_m, self.height_m) * camera.focal_px / depth

    def draw(self, picture: Luma, camera: FacadeCamera, t_s: float, exposure_s: float) -> None:
        """Blend the shape, as it moved during the exposure, into ``picture``."""
        shapes = self._shapes(camera, t_s, exposure_s)
        if shapes is None:
            return
        low = np.floor(np.min([s.min(axis=0) for s in shapes], axis=0)).astype(int) - 1
        high = np.ceil(np.max([s.max(axis=0) for s in shapes], axis=0)).astype(int) + 2
        left, top = max(int(low[0]), 0), max(int(low[1]), 0)
        right, bottom = min(int(high[0]), picture.shape[1]), min(int(high[1]), picture.shape[0])
        if right <= left or bottom <= top or max(right - left, bottom - top) > _MAX_PATCH_PX:
            return
        cover = np.zeros((bottom - top, right - left), np.float32)
        for shape in shapes:
            cover += _cover(shape - (left, top), cover.shape) / len(shapes)
        alpha = cover * self.opacity * float(np.clip(self.visible(t_s), 0.0, 1.0))
        patch = picture[top:bottom, left:right]
        patch[:] = np.clip(patch * (1.0 - alpha) + self.grey * alpha + 0.5, 0, 255).astype(np.uint8)

    def _shapes(self, camera: FacadeCamera, t_s: float, exposure_s: float) -> list[npt.NDArray[np.float64]] | None:
        ends = self.place(camera, t_s), self.place(camera, min(t_s + exposure_s, self.end_s))
        if ends[0] is None or ends[1] is None:
            return None
        blur_px = math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1])
        count = int(np.clip(1 + blur_px / 2, 1, 8))
        shapes = []
        for k in range(count):
            t = min(t_s + exposure_s * k / count, self.end_s)
            placed = self.place(camera, t)
            if placed is not None:
                shapes.append(self._outline_px(camera, t, placed))
        return shapes or None

    def _outline_px(
        self, camera: FacadeCamera, t_s: float, placed: tuple[float, float, float]
    ) -> npt.NDArray[np.float64]:
        per_m = placed[2] / max(self.width_m, self.height_m)
        points = self.outline * (self.width_m, self.height_m * self.stretch(t_s)) * per_m
        turn = self.spin_rad_s * (t_s - self.begin_s)
        cos, sin = math.cos(turn), math.sin(turn)
        return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + placed[:2])


def _cover(points: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return how much of each pixel the polygon covers, 0–1."""
    fine = np.zeros((shape[0] * _SUBPIXEL, shape[1] * _SUBPIXEL), np.uint8)
    # four more bits of place inside the enlarged picture, so that slow things do not jump
    scaled = np.round((points * _SUBPIXEL) * 16).astype(np.int32)
    cv2.fillPoly(fine, [scaled.reshape(-1, 1, 2)], 255, shift=4)
    small = cv2.resize(fine, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / 255.0


def polygon(random: np.random.Generator, corners: int, raggedness: float) -> npt.NDArray[np.float64]:
    """Return an irregular outline of ``corners`` points around the origin."""
    angles = (
        np.sort(random.uniform(0, 2 * math.pi, corners)) if raggedness else np.linspace(0, 2 * math.pi, corners + 1)
    )
    angles = angles[:corners]
    radii = 0.5 * (1.0 - raggedness * random.uniform(0, 1, corners))
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def rectangle() -> npt.NDArray[np.float64]:
    """Return the unit square around the origin."""
    return np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
