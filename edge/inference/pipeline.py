"""One camera's pictures, judged: every analyser in turn, and the redacted picture kept for evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from contracts.errors import LinliError
from detectors.vision.falling.falling_analyser import FallingObject
from detectors.vision.geometry.shapes import Mask
from detectors.vision.observations import LinePassed, ObjectInZone, Observation
from edge.capture.capture import Frame
from edge.capture.ring import FrameRing
from edge.evidence.redact import redacted
from edge.inference.analysers import AnalyserSet

_NOBODY = np.zeros((0, 4), np.float32)


class Pipeline:
    """Frame in, observations out; the ring fills by the way.

    Args:
        make_analysers: fresh ones, given the number of their first track; again when a source begins its timeline anew.
        masks: what is never shown.
        ring: where redacted pictures go.
    """

    def __init__(self, make_analysers: Callable[[int], AnalyserSet], masks: Sequence[Mask], ring: FrameRing) -> None:
        self._make_analysers, self._masks, self._ring = make_analysers, masks, ring
        self._analysers: AnalyserSet | None = None
        self._at_ms = self._shift_ms = 0

    def process(self, frame: Frame) -> list[Observation]:
        """Return the observations that this frame completes, in order of time, at their dates.

        Analysers see the timeline of the source: a wall clock that is set moves dates, and no interval.
        """
        if self._analysers is None or frame.at_ms < self._at_ms:
            self._analysers, self._shift_ms = self._make_analysers(frame.at_ms), frame.shift_ms
        self._at_ms, date_ms = frame.at_ms, frame.at_ms + frame.shift_ms
        seen = [one for analyser in self._analysers.analysers for one in analyser.process(frame.image, frame.at_ms)]
        if frame.shift_ms != self._shift_ms:
            self._ring.move(frame.shift_ms - self._shift_ms)
            self._shift_ms = frame.shift_ms
        if self._ring.wants(date_ms):
            self._keep(frame, self._analysers, date_ms)
        return sorted((dated(one, frame.shift_ms) for one in seen), key=lambda observation: observation.at_ms)

    def _keep(self, frame: Frame, analysers: AnalyserSet, at_ms: int) -> None:
        people = analysers.following.people_xyxy() if analysers.following else _NOBODY
        vehicles = analysers.following.vehicles_xyxy() if analysers.following else _NOBODY
        plain = not self._masks and not len(people)
        self._ring.add(frame.image if plain else redacted(frame.image, self._masks, people, vehicles), at_ms)


def dated(seen: Observation, shift_ms: int) -> Observation:
    """Return an observation of a source's timeline at its date."""
    replace = msgspec.structs.replace
    if isinstance(seen, FallingObject):
        path = tuple(replace(one, at_ms=one.at_ms + shift_ms) for one in seen.path)
        return replace(seen, at_ms=seen.at_ms + shift_ms, started_ms=seen.started_ms + shift_ms, path=path)
    if isinstance(seen, ObjectInZone | LinePassed):
        return replace(seen, at_ms=seen.at_ms + shift_ms)
    raise LinliError(f"no date for an observation of type {type(seen).__name__}")
