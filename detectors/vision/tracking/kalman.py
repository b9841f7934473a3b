"""A constant-velocity Kalman filter of a box: centre, width and height, each by itself, in time and not in frames.

Deviations grow with the box's height, as in SORT and ByteTrack (Zhang et al. 2022): near objects move more pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.vision.detection.detections import Floats

_MEASURED = 0.05  # of the height: how far a detector's box is off
_ACCELERATION = 1.0  # heights per s²: a walker starts, stops and turns
_FIRST_SPEED = 1.0  # heights per s: before the second sighting the speed is anybody's guess
_LONGEST_STEP_S = 2.0

Vector = npt.NDArray[np.float64]


class BoxFilter:
    """The filtered box of one object; ``at_ms`` is the time of its state."""

    def __init__(self, xyxy: Floats, at_ms: int) -> None:
        self.at_ms = at_ms
        self._place = _as_centre(xyxy)
        self._speed: Vector = np.zeros(4)
        height = self._height()
        self._pp, self._pv, self._vv = (_MEASURED * height) ** 2, 0.0, (_FIRST_SPEED * height) ** 2

    def predicted(self, at_ms: int) -> Floats:
        """Return the box expected at ``at_ms``: (4,) xyxy. Changes nothing."""
        return _as_xyxy(self._place + self._speed * self._step_s(at_ms))

    def reached(self, at_ms: int) -> Floats:
        """Return all that the object may cover at ``at_ms``, two deviations of the filter around: (4,) xyxy."""
        reach = 2 * self._variance(self._step_s(at_ms)) ** 0.5
        return np.asarray(self.predicted(at_ms) + np.asarray([-reach, -reach, reach, reach]), np.float32)

    def update(self, xyxy: Floats, at_ms: int) -> None:
        """Take a sighting."""
        step_s, height = self._step_s(at_ms), self._height()
        self._place = self._place + self._speed * step_s
        noise = self._noise(step_s)
        self._pp = self._variance(step_s)
        self._pv += step_s * self._vv + noise * step_s / 2
        self._vv += noise
        self._correct(_as_centre(xyxy), (_MEASURED * height) ** 2)
        self.at_ms = at_ms

    def rescale(self, x: float, y: float) -> None:
        """Go on in a picture that is ``x`` times as wide and ``y`` times as high."""
        self._place, self._speed = self._place * (x, y, x, y), self._speed * (x, y, x, y)
        self._pp, self._pv, self._vv = self._pp * y * y, self._pv * y * y, self._vv * y * y

    def _correct(self, seen: Vector, variance: float) -> None:
        total = self._pp + variance
        gain_place, gain_speed = self._pp / total, self._pv / total
        off = seen - self._place
        self._place, self._speed = self._place + gain_place * off, self._speed + gain_speed * off
        self._vv -= gain_speed * self._pv
        self._pv *= 1 - gain_place
        self._pp *= 1 - gain_place

    def _variance(self, step_s: float) -> float:
        """Return the variance of the place after ``step_s`` without a sighting, px²."""
        return self._pp + 2 * step_s * self._pv + step_s**2 * self._vv + self._noise(step_s) * step_s**2 / 3

    def _noise(self, step_s: float) -> float:
        return (_ACCELERATION * self._height()) ** 2 * max(step_s, 1e-3)

    def _height(self) -> float:
        return max(float(self._place[3]), 1.0)

    def _step_s(self, at_ms: int) -> float:
        return min(max(at_ms - self.at_ms, 0) / 1000.0, _LONGEST_STEP_S)


def _as_centre(xyxy: Floats) -> Vector:
    box = np.asarray(xyxy, np.float64)
    return np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]])


def _as_xyxy(centre: Vector) -> Floats:
    half = np.maximum(centre[2:], 1.0) / 2
    return np.concatenate([centre[:2] - half, centre[:2] + half]).astype(np.float32)
