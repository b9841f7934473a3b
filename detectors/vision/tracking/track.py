"""One object followed from picture to picture. Pure."""

from __future__ import annotations

import numpy as np

from detectors.vision.detection.boxes import iou
from detectors.vision.detection.detections import Floats
from detectors.vision.tracking.kalman import BoxFilter

STILL_OVERLAP = 0.5
"""A box that shares so much with where it stood still stands there; a vehicle on its way is gone in half a second."""
KEPT_TIMES, KEPT_MS = 15, 30_000
"""What stood is expected to be seen there again: for so many times as long as it stood, at most so long."""


class Track:
    """One object followed. ``votes`` is the faded sum of scores per class; ``stood_ms`` since when it has stood."""

    def __init__(self, track_id: int, xyxy: Floats, score: float, class_id: int, at_ms: int) -> None:
        self.track_id, self.first_ms, self.seen_ms = track_id, at_ms, at_ms
        self.xyxy, self.score = xyxy, score
        self.filter = BoxFilter(xyxy, at_ms)
        self.votes: dict[int, float] = {class_id: score}
        self._stood_xyxy, self._stood_ms = xyxy, at_ms

    def see(self, xyxy: Floats, score: float, class_id: int, at_ms: int, vote_halves_ms: int) -> None:
        """Take a sighting."""
        fade = 0.5 ** ((at_ms - self.seen_ms) / vote_halves_ms)
        self.votes = {known: vote * fade for known, vote in self.votes.items() if vote * fade > 0.01}
        self.votes[class_id] = self.votes.get(class_id, 0.0) + score
        self.filter.update(xyxy, at_ms)
        self.xyxy, self.score, self.seen_ms = xyxy, score, at_ms
        if float(iou(xyxy[None], self._stood_xyxy[None])[0, 0]) < STILL_OVERLAP:
            self._stood_xyxy, self._stood_ms = xyxy, at_ms

    def resume(self, at_ms: int) -> None:
        """Go on where it stood, as if it had been seen until now."""
        self.filter, self.seen_ms = BoxFilter(self.xyxy, at_ms), at_ms

    def rescale(self, x: float, y: float) -> None:
        """Go on in a picture that is ``x`` times as wide and ``y`` times as high."""
        by = np.asarray((x, y, x, y), np.float32)
        self.xyxy, self._stood_xyxy = self.xyxy * by, self._stood_xyxy * by
        self.filter.rescale(x, y)

    @property
    def expected_until_ms(self) -> int:
        """Until when it may be seen again where it was seen last."""
        return self.seen_ms + min(KEPT_TIMES * (self.seen_ms - self._stood_ms), KEPT_MS)

    @property
    def class_id(self) -> int:
        """The class most of its recent sightings had."""
        return max(self.votes, key=lambda known: (self.votes[known], -known))


def classes_of(tracks: list[Track]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return (N,) the tracks' classes."""
    return np.asarray([track.class_id for track in tracks], np.int64)
