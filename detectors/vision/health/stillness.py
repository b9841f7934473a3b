"""Whether pictures are one picture, shown again and again; its clock may tick on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Spots = npt.NDArray[np.int16]

STILL_MS = 20_000.0  # a quiet scene is coded anew with each key frame, and those come more often than that
_OTHER_MS = 1_000.0  # a key frame of a still picture is coarser for a moment
_MEAN, _MOST = 0.4, 12  # coding a still picture again changes it by less; noise is another after each key frame
_BAND = 8  # of the height, above and below: where a camera or a recorder writes the time
_TEXT_PART = 0.1


class Stillness:
    """Compares each picture with the one since which nothing was another: a slow change is a change."""

    def __init__(self) -> None:
        self._first: Spots | None = None
        self._first_ms = self._same_ms = 0.0

    def look(self, spots: Spots, now_ms: float) -> bool:
        """Return whether the same picture has been shown for ``STILL_MS``."""
        if self._first is not None and _is_same(self._first, spots):
            self._same_ms = now_ms
        elif self._first is None or now_ms - self._same_ms >= _OTHER_MS:
            self._first, self._first_ms, self._same_ms = spots, now_ms, now_ms
        return now_ms == self._same_ms and now_ms - self._first_ms >= STILL_MS

    def forget(self) -> None:
        """Begin anew with the next picture."""
        self._first = None


def _is_same(one: Spots, other: Spots) -> bool:
    """Return whether two pictures differ by coding, by a flicker of the whole, or by some text at most."""
    off = other - one
    band = len(off) // _BAND
    middle = off[band:-band]
    flicker = np.int16(np.rint(middle.mean()))
    middle = np.abs(middle - flicker)
    if float(middle.mean()) >= _MEAN or int(middle.max()) > _MOST:
        return False
    text = np.abs(np.concatenate((off[:band], off[-band:])) - flicker) > _MOST
    return float(text.mean()) <= _TEXT_PART
