"""Who must not be recognised on a picture: people whom the detector sees, saw a moment ago, or will see at once. Pure.

A detector loses people for a look or two: someone turns, passes behind a post, or scores low. And it often finds a
newcomer one look late. They are there all the same, and their faces could be read. So each is hidden a while longer,
and one look before, wherever somebody may be who moves on as seen last, starts or turns. Weak detections count as good
ones here: hiding too much costs nobody anything.
"""

from __future__ import annotations

import numpy as np

from detectors.vision.detection.detections import Detections, Floats
from detectors.vision.tracking.tracker import Tracker, TrackerConfig

HIDE_MS = 1_200
"""How long someone whom the detector does not see any more is hidden; after that most have left the picture."""


class PeopleSeen:
    """The people of one camera's pictures."""

    def __init__(self) -> None:
        self._tracker = Tracker(config=TrackerConfig(good_score=0.0, confirm_ms=0, lost_ms=HIDE_MS))
        self._hidden: Floats = np.zeros((0, 4), np.float32)
        self._before: Floats = np.zeros((0, 4), np.float32)
        self._looked_ms = 0

    def look(self, people: Detections, at_ms: int) -> None:
        """Take the people whom the detector found in the picture of ``at_ms``, which is later than the last."""
        self._tracker.update(people, at_ms)
        self._hidden = np.concatenate([people.xyxy, self._tracker.unseen_xyxy(at_ms)])
        self._before = self._tracker.newcomers_xyxy(at_ms - self._looked_ms)
        self._looked_ms = at_ms

    def rescale(self, x: float, y: float) -> None:
        """Go on in pictures that are ``x`` times as wide and ``y`` times as high."""
        self._tracker.rescale(x, y)

    def before_xyxy(self) -> Floats:
        """Return (N, 4) boxes of all that newcomers may have covered in the picture looked at before the last one."""
        return self._before

    def hidden_xyxy(self) -> Floats:
        """Return (N, 4) boxes of all that people may cover in the picture last looked at, px."""
        return self._hidden
