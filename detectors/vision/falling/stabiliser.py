"""Takes the shake of a pole in the wind out of the pictures, before they are compared.

Rows and columns of five strips each are averaged to profiles; a profile that moved by d differs from the reference by
d times its slope. The median of the strips is where the camera points: a tree or a car fills one or two of them.
Slow drift is left in: a comparison over a fifth of a second does not see it.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from detectors.vision.geometry.perspective import Floats

Luma: TypeAlias = npt.NDArray[np.uint8]
Profiles: TypeAlias = npt.NDArray[np.float32]
"""(strips, length) mean levels, without what is wider than ``SMOOTH_PX``."""

STRIPS = 5
SMOOTH_PX = 61  # wider structure is light, not walls
# Below this a shift costs more in interpolation than it gains; above it somebody turned the camera.
MIN_SHIFT_PX, MAX_SHIFT_PX = 0.12, 4.0
MIN_SLOPE = 0.02  # mean square of the profile's slope, levels² per px²: an empty sky shows no shake
REST_MS = 1_000  # slower than this is drift, not shake
FOLLOW_MS = 1_500  # how fast the reference follows the day's light


class Stabiliser:
    """Pictures in, pictures shifted back onto the first out. All have one size."""

    def __init__(self) -> None:
        self._down: Profiles | None = None
        self._across: Profiles | None = None
        self._rest = np.zeros(2)  # (x, y) px from the reference where the camera points when it does not shake
        self._at_ms = 0.0

    def stabilised(self, luma: Luma, at_ms: float) -> Luma:
        """Return ``luma``, moved by the camera's shake; itself when there is none."""
        passed_ms, self._at_ms = min(max(at_ms - self._at_ms, 0.0), 500.0), at_ms
        down, across = _profiles(luma, 1), _profiles(luma, 0)
        if self._down is None or self._across is None:
            return self._begin(luma, down, across)
        found = np.array([_shift(across, self._across), _shift(down, self._down)])
        if float(np.abs(found).max()) > MAX_SHIFT_PX:
            return self._begin(luma, down, across)
        self._follow(down, across, found, passed_ms)
        dx, dy = (found - self._rest).tolist()
        if max(abs(dx), abs(dy)) < MIN_SHIFT_PX:
            return luma
        back = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
        size = (luma.shape[1], luma.shape[0])
        return np.asarray(cv2.warpAffine(luma, back, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    def _begin(self, luma: Luma, down: Profiles, across: Profiles) -> Luma:
        self._down, self._across, self._rest = down, across, np.zeros(2)
        return luma

    def _follow(self, down: Profiles, across: Profiles, found: Floats, passed_ms: float) -> None:
        assert self._down is not None and self._across is not None
        self._rest += (1.0 - np.exp(-passed_ms / REST_MS)) * (found - self._rest)
        gain = 1.0 - float(np.exp(-passed_ms / FOLLOW_MS))
        self._across += gain * (_moved(across, -float(found[0])) - self._across)
        self._down += gain * (_moved(down, -float(found[1])) - self._down)


def _profiles(luma: Luma, axis: int) -> Profiles:
    """Take profiles down the rows of five upright strips (``axis`` 1), or across the columns of five level ones (0)."""
    edges = np.linspace(0, luma.shape[axis], STRIPS + 1).astype(int)
    strips = [luma[:, a:b] if axis else luma[a:b] for a, b in itertools.pairwise(edges)]
    means = [cv2.reduce(strip, axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel() for strip in strips]
    profiles = np.stack(means)
    return np.asarray(profiles - cv2.blur(profiles, (SMOOTH_PX, 1)), np.float32)


def _shift(now: Profiles, reference: Profiles) -> float:
    """Return how far (px) ``now`` lies behind ``reference``, the median over the strips that have structure."""
    shifts = [_strip_shift(a, b) for a, b in zip(now, reference, strict=True)]
    known = [s for s in shifts if s is not None]
    return float(np.median(known)) if len(known) > STRIPS // 2 else 0.0


def _strip_shift(now: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float | None:
    total = 0.0
    for _ in range(2):  # the slope holds for a pixel or so: once more from where the first round led
        moved = _moved(reference[None, :], total)[0]
        slope = np.gradient(moved)
        energy = float((slope * slope).mean())
        if energy < MIN_SLOPE:
            return None
        gain = float((now * moved).sum() / max(float((moved * moved).sum()), 1e-6))
        step = -float((slope * (now - gain * moved)).mean()) / (energy * max(gain, 0.2))
        total += float(np.clip(step, -2.0, 2.0))
    return total


def _moved(profiles: Profiles, by_px: float) -> Profiles:
    """Return the profiles moved along by a part of a pixel; what comes in from outside repeats the end."""
    places = np.arange(profiles.shape[1], dtype=np.float32) - by_px
    return np.stack([np.interp(places, np.arange(profiles.shape[1]), p) for p in profiles]).astype(np.float32)
