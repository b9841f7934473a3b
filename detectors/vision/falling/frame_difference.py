"""Where something moved: a symmetric frame difference on luma with a noise map and busy-area suppression.

A pixel moved at time t when it differs both from the picture a spacing before and from the one a spacing after. That is
blind to steps of light, needs no background model, and shows an object at one place only. What always differs (sensor
noise, leaves in wind, a flickering sign) raises its own threshold; what is often above it is suppressed.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.falling.stabiliser import Stabiliser
from detectors.vision.frame_clock import SteadyClock

Luma: TypeAlias = npt.NDArray[np.uint8]
Floats32: TypeAlias = npt.NDArray[np.float32]

# In a tenth of a second a falling object moves by its own size soon after its release (0.05 m from rest, 0.5 m at
# 5 m/s), and leaves and clouds do not yet.
SPACING_MS = 95
# A repeated frame: nothing changed on average, and nowhere by as much as an object would.
REPEAT_MEAN_LEVELS = 0.1
REPEAT_PATCH_LEVELS = 4.0
# After a gap in the stream differences mean nothing.
MAX_GAP_MS = 1_000

CELL_PX = 4  # the noise map's cell: about the smallest object, and small enough to follow a branch
LIGHT_CELL_PX = 32  # light changes are smooth; no object fills a median of 5 × 5 of these
LIGHT_LEVELS = 2  # below this a light change is no more than noise

NOISE_MEMORY_MS = 2_000
BUSY_MEMORY_MS = 3_000
MIN_CONTRAST_LEVELS = 10.0
NOISE_FACTOR = 4.0
# A fall crosses a cell in a moment; a cell above its threshold for more of its time than this is a tree or a flag.
BUSY_PART = 0.10
BUSY_FACTOR = 1_000.0  # levels per part above BUSY_PART: at 0.3 nothing passes

_KERNEL = np.ones((3, 3), np.uint8)


class MotionFrame(msgspec.Struct, frozen=True):
    """Motion in the picture taken at ``at_ms``: ``mask`` (H, W), 0 or 255; ``cells`` (H/4, W/4) > 0 where any is."""

    at_ms: float
    mask: Luma
    cells: Luma


class _Picture(msgspec.Struct, frozen=True):
    at_ms: float
    luma: Luma
    light: Floats32


def is_repeat(luma: Luma, before: Luma) -> bool:
    """Return whether ``luma`` is the same picture as ``before``, sent or encoded once more."""
    if float(cv2.norm(luma, before, cv2.NORM_L1)) >= REPEAT_MEAN_LEVELS * luma.size:
        return False
    return float(_in_cells(np.asarray(cv2.absdiff(luma, before), np.uint8)).max()) < REPEAT_PATCH_LEVELS


class FrameDifference:
    """Pictures in, motion out, later by one spacing, at the times the camera took them.

    All pictures have one size, width and height divisible by ``CELL_PX``.
    """

    def __init__(self) -> None:
        self._pictures: deque[_Picture] = deque()
        self._done_ms = -1.0
        self._clock = SteadyClock()
        self._after_repeat = False
        self._newest: Luma | None = None
        self._stabiliser = Stabiliser()
        self._noise = NoiseMap()
        self.repeats = 0

    def push(self, luma: Luma, at_ms: float) -> list[MotionFrame]:
        """Return motion of every earlier picture that now has one on both sides."""
        if self._pictures and at_ms - self._pictures[-1].at_ms > MAX_GAP_MS:
            self._pictures.clear()
            self._newest = None
        if self._newest is not None and is_repeat(luma, self._newest):
            self.repeats += 1
            self._after_repeat = True
            return []
        taken_ms = self._clock.time_of(at_ms, after_repeat=self._after_repeat)
        self._after_repeat, self._newest = False, luma
        steady = self._stabiliser.stabilised(luma, taken_ms)
        self._pictures.append(_Picture(taken_ms, steady, _light_of(steady)))
        return [self._motion(*triple) for triple in self._ready()]

    def _ready(self) -> list[tuple[_Picture, _Picture, _Picture]]:
        """Return (before, centre, after) for each centre not yet done; forget pictures nobody needs any more."""
        newest = self._pictures[-1]
        ready = []
        for centre in self._pictures:
            if centre.at_ms <= self._done_ms or newest.at_ms - centre.at_ms < SPACING_MS:
                continue
            before = [p for p in self._pictures if centre.at_ms - p.at_ms >= SPACING_MS]
            if before:
                ready.append((before[-1], centre, newest))
                self._done_ms = centre.at_ms
        while len(self._pictures) > 2 and newest.at_ms - self._pictures[1].at_ms >= 2 * SPACING_MS + MAX_GAP_MS // 4:
            self._pictures.popleft()
        return ready

    def _motion(self, before: _Picture, centre: _Picture, after: _Picture) -> MotionFrame:
        difference = np.asarray(cv2.min(_difference(centre, before), _difference(centre, after)), np.uint8)
        return self._noise.above(difference, centre.at_ms)


def _light_of(luma: Luma) -> Floats32:
    """Mean luma per light cell (H/32, W/32), of every fourth pixel and row."""
    size = (max(luma.shape[1] // LIGHT_CELL_PX, 1), max(luma.shape[0] // LIGHT_CELL_PX, 1))
    few = np.ascontiguousarray(luma[::4, ::4])
    return np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_AREA), np.float32)


def _in_cells(luma: Luma) -> Luma:
    """Mean per cell (H/4, W/4), by halving twice: eight times faster than at once."""
    half = cv2.resize(luma, (luma.shape[1] // 2, luma.shape[0] // 2), interpolation=cv2.INTER_AREA)
    quarter = cv2.resize(half, (luma.shape[1] // 4, luma.shape[0] // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(quarter, np.uint8)


def _difference(one: _Picture, other: _Picture) -> Luma:
    """Return |one − other| without what is a change of light: smooth over the picture, so wider than any object."""
    light = cv2.medianBlur(one.light - other.light, 5)
    if float(np.abs(light).max()) < LIGHT_LEVELS:
        return np.asarray(cv2.absdiff(one.luma, other.luma), np.uint8)
    size = (one.luma.shape[1], one.luma.shape[0])
    brighter = cv2.resize(np.clip(light, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    darker = cv2.resize(np.clip(-light, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    lit = cv2.subtract(cv2.add(other.luma, brighter), darker)
    return np.asarray(cv2.absdiff(one.luma, lit), np.uint8)


class NoiseMap:
    """How much each cell of the picture usually differs, and how often it is above its threshold."""

    def __init__(self) -> None:
        self._noise: Floats32 | None = None
        self._busy: Floats32 | None = None
        self._at_ms = 0.0

    def above(self, difference: Luma, at_ms: float) -> MotionFrame:
        """Return motion where ``difference`` (H, W) is above its cell's threshold; then learn from it."""
        seen = _in_cells(difference).astype(np.float32)
        if self._noise is None or self._busy is None or self._noise.shape != seen.shape:
            self._noise, self._busy = seen.copy(), np.zeros_like(seen)
        limit = self._threshold(self._noise, self._busy)
        limits = np.repeat(np.repeat(limit, CELL_PX, axis=1), CELL_PX, axis=0)
        mask = np.asarray(cv2.compare(difference, limits, cv2.CMP_GT), np.uint8)
        cells = _in_cells(mask)
        self._learn(seen, cells, at_ms)
        return MotionFrame(at_ms, mask, cells)

    @staticmethod
    def _threshold(noise: Floats32, busy: Floats32) -> Luma:
        often = np.maximum(cv2.blur(busy, (5, 5)) - BUSY_PART, 0.0)
        limit = MIN_CONTRAST_LEVELS + NOISE_FACTOR * cv2.dilate(noise, _KERNEL) + BUSY_FACTOR * often
        return np.asarray(np.clip(limit, 0, 255), np.uint8)

    def _learn(self, seen: Floats32, active: Luma, at_ms: float) -> None:
        assert self._noise is not None and self._busy is not None
        passed_ms = min(max(at_ms - self._at_ms, 0), 200)
        self._at_ms = at_ms
        # one passing object must not make a cell noisy: a single sight counts no more than four times the usual
        bounded = np.minimum(seen, 4.0 * self._noise + 8.0)
        cv2.accumulateWeighted(bounded, self._noise, 1.0 - float(np.exp(-passed_ms / NOISE_MEMORY_MS)))
        above = (active > 0).astype(np.float32)
        cv2.accumulateWeighted(above, self._busy, 1.0 - float(np.exp(-passed_ms / BUSY_MEMORY_MS)))
