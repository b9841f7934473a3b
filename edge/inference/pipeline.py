"""One camera's pictures, judged: every analyser in turn, and the redacted picture kept for evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from detectors.vision.geometry.shapes import Mask
from detectors.vision.observations import Observation
from edge.capture.capture import Frame
from edge.capture.ring import FrameRing
from edge.evidence.redact import redacted
from edge.inference.analysers import AnalyserSet

STEP_BACK_MS = 2_000  # a clock set back further begins everything anew
_NOBODY = np.zeros((0, 4), np.float32)


class Pipeline:
    """Frame in, observations out; the ring fills by the way.

    Args:
        make_watch: fresh analysers, given the number of their first track; called again when time steps back.
        masks: what is never shown.
        ring: where redacted pictures go.
    """

    def __init__(self, make_analysers: Callable[[int], AnalyserSet], masks: Sequence[Mask], ring: FrameRing) -> None:
        self._make_analysers, self._masks, self._ring = make_analysers, masks, ring
        self._analysers: AnalyserSet | None = None
        self._at_ms = 0

    def process(self, frame: Frame) -> list[Observation]:
        """Return the observations that this frame completes, in order of time."""
        if self._analysers is None or frame.at_ms < self._at_ms - STEP_BACK_MS:
            self._analysers, self._at_ms = self._make_analysers(frame.at_ms), frame.at_ms
        at_ms = self._at_ms = max(frame.at_ms, self._at_ms + 1)  # analysers never see time stand still or go back
        seen = [one for analyser in self._analysers.analysers for one in analyser.process(frame.image, at_ms)]
        if self._ring.wants(at_ms):
            self._keep(frame, self._analysers, at_ms)
        return sorted(seen, key=lambda observation: observation.at_ms)

    def _keep(self, frame: Frame, analysers: AnalyserSet, at_ms: int) -> None:
        people = analysers.following.people_xyxy() if analysers.following else _NOBODY
        vehicles = analysers.following.vehicles_xyxy() if analysers.following else _NOBODY
        plain = not self._masks and not len(people)
        self._ring.add(frame.image if plain else redacted(frame.image, self._masks, people, vehicles), at_ms)
