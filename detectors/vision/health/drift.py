"""How far a camera was turned by and by, which what is learnt of its pictures would follow."""

from __future__ import annotations

import cv2
import numpy as np

from detectors.vision.health.picture_traits import Cells

_EVERY_MS, _MEAN_MS = 4_000.0, 8_000.0
_FAR = 6  # spots of 160 that a camera may turn between two comparisons
_STEP = 2  # spots; less may be noise, and is not lost: it is compared with the same picture again
_LIKE, _CLEAR = 0.5, 0.1


class Drift:
    """Compares where edges lie, in means over some seconds, with where they lay when it last moved.

    So it finds any pace, and does not add up errors. A view that is where it began is known as such.
    """

    def __init__(self) -> None:
        self._mean: Cells | None = None
        self._home: Cells | None = None
        self._last: Cells | None = None
        self._off = np.zeros(2, np.int64)
        self._seen_ms = self._compared_ms = 0.0

    @property
    def part(self) -> float:
        """How far it is off, in widths of the picture."""
        return float(np.hypot(*self._off)) / self._mean.shape[1] if self._mean is not None else 0.0

    def look(self, slopes: Cells, now_ms: float) -> None:
        """Take where edges lie (90, 160) at ``now_ms``."""
        if self._mean is None:
            self._mean, self._compared_ms = slopes, now_ms
        else:
            part = np.float32(min((now_ms - self._seen_ms) / _MEAN_MS, 1.0))
            self._mean = self._mean + part * (slopes - self._mean)
        self._seen_ms = now_ms
        if now_ms - self._compared_ms >= _EVERY_MS:
            self._compared_ms = now_ms
            self._compare(self._mean)

    def other_light(self) -> None:
        """Take that edges are others now, though nothing moved: how far it is off stays."""
        self._mean = self._last = None

    def _compare(self, mean: Cells) -> None:
        if self._last is None:
            self._begin(mean)
            return
        if self._off.any() and self._home is not None and _is_here(self._home, mean):
            self._off[:], self._last = 0, self._home
            return
        likeness, step = _best(self._last, mean)
        if likeness < _LIKE:
            self._begin(mean)
        elif np.abs(step).max() >= _STEP:
            self._off += step
            self._last = mean

    def _begin(self, mean: Cells) -> None:
        self._last = mean
        if not self._off.any():
            self._home = mean


def _is_here(home: Cells, mean: Cells) -> bool:
    likeness, step = _best(home, mean)
    return likeness >= _LIKE and not step.any()


def _best(one: Cells, other: Cells) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return how alike two maps are where they fit best, and by how many spots (down, right) the other is off.

    A step that is hardly better than none is none.
    """
    likenesses = cv2.matchTemplate(one, other[_FAR:-_FAR, _FAR:-_FAR], cv2.TM_CCOEFF_NORMED)
    row, column = divmod(int(likenesses.argmax()), likenesses.shape[1])
    best, here = float(likenesses[row, column]), float(likenesses[_FAR, _FAR])
    if best - here < _CLEAR:
        row, column, best = _FAR, _FAR, here
    return best, np.array([_FAR - row, _FAR - column], np.int64)
