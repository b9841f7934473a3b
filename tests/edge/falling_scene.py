"""A drawn facade with one fall, as pictures in memory: for tests of the times that pictures are given."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np

from bench.backdrops import drawn_facade
from bench.camera_model import FacadeCamera
from bench.falls import free_fall
from detectors.vision.detection.detections import Image

CAMERA = FacadeCamera(width=480, height=272, focal_px=330.0, pitch_rad=0.42, eye_m=2.0, distance_m=17.0)
PER_S = 25
PICTURES = 130
BEGIN_S = 2.4
"""When the thing is let go; it falls for 1.85 s."""


@cache
def pictures() -> tuple[Image, ...]:
    """5.2 s of luma pictures, (272, 480)."""
    facade, noise = drawn_facade(np.random.default_rng(2), CAMERA), np.random.default_rng(4)
    return tuple(_with_thing(facade + noise.normal(0, 1.5, facade.shape), k / PER_S) for k in range(PICTURES))


def _with_thing(picture: np.ndarray[tuple[int, ...], np.dtype[np.float64]], at_s: float) -> Image:
    where = free_fall((1.0, 18.0, 16.0), (0.3, 0.0, 0.0), terminal_ms=45.0)
    if 0 <= at_s - BEGIN_S < 1.85:
        x, y, _ = CAMERA.project(where(at_s - BEGIN_S))
        cv2.circle(picture, (round(x * 16), round(y * 16)), 56, 245.0, -1, cv2.LINE_AA, 4)
    return np.clip(picture, 0, 255).astype(np.uint8)


def colour_pictures() -> Iterator[Image]:
    """The same as (272, 480, 3) BGR."""
    return (np.asarray(cv2.cvtColor(one, cv2.COLOR_GRAY2BGR), np.uint8) for one in pictures())
