"""One camera's pictures, judged: every analyser in turn, and the redacted picture kept for evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import structlog

from contracts.errors import LinliError
from detectors.vision.detection.detections import Floats, Image
from detectors.vision.falling.falling_analyser import FallingAnalyser, FallingObject
from detectors.vision.geometry.picture_size import Size, same_shape, size_of
from detectors.vision.geometry.shapes import Mask
from detectors.vision.observations import LinePassed, ObjectInZone, Observation
from detectors.vision.tracking.object_analyser import FollowingAnalyser
from edge.capture.capture import Frame
from edge.capture.ring import FrameRing
from edge.evidence.redact import redacted
from edge.inference.analysers import AnalyserSet

_log = structlog.get_logger("edge.inference.pipeline")
_NOBODY = np.zeros((0, 4), np.float32)


class LookedAt(msgspec.Struct, frozen=True):
    """A picture and the boxes of the people and vehicles on it, (N, 4) px."""

    image: Image
    at_ms: int
    people_xyxy: Floats
    vehicles_xyxy: Floats


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
        self._waiting: LookedAt | None = None
        self._size: Size | None = None
        self.looked = False

    def process(self, frame: Frame) -> list[Observation]:
        """Return the observations that this frame completes, in order of time; ``looked`` says if a detector ran.

        Analysers see the timeline of the source: a wall clock that is set moves dates, and no interval.
        """
        if self._analysers is None or frame.at_ms < self._at_ms:
            self._analysers, self._waiting, self._shift_ms = self._make_analysers(frame.at_ms), None, frame.shift_ms
        self._at_ms = frame.at_ms
        self._note_size(size_of(frame.image))
        seen = [one for analyser in self._analysers.analysers for one in analyser.process(frame.image, frame.at_ms)]
        following = self._analysers.following
        self.looked = following is not None and following.looked(frame.at_ms)
        self._shift(frame.shift_ms)
        self._keep(frame.image, following, frame.at_ms + frame.shift_ms)
        return sorted((dated(one, frame.shift_ms) for one in seen), key=lambda observation: observation.at_ms)

    def _shift(self, shift_ms: int) -> None:
        """Date what is kept as the next pictures are dated."""
        by_ms, self._shift_ms = shift_ms - self._shift_ms, shift_ms
        if by_ms:
            self._ring.move(by_ms)
        if by_ms and self._waiting is not None:
            self._waiting = msgspec.structs.replace(self._waiting, at_ms=self._waiting.at_ms + by_ms)

    def misfits(self) -> tuple[str, ...]:
        """Return why a calibration is not used, nothing when all fit the pictures."""
        analysers = self._analysers.analysers if self._analysers else ()
        return tuple(one.misfit for one in analysers if isinstance(one, FallingAnalyser) and one.misfit)

    def _note_size(self, size: Size) -> None:
        before, self._size = self._size, size
        if before is not None and before != size:
            _log.warning("pictures of another size", before=before, now=size, same_shape=same_shape(before, size))

    def _keep(self, image: Image, following: FollowingAnalyser | None, at_ms: int) -> None:
        """Keep the picture as far as it is known where people are on it.

        Where a detector looks, only pictures that it looked at, and each when it has looked once more: between two
        looks people move and new ones come, and a newcomer is often found one look late.
        """
        if following is None:
            if self._ring.wants(at_ms):
                self._add(LookedAt(image, at_ms, _NOBODY, _NOBODY))
        elif self.looked:
            if self._waiting is not None and self._waiting.image.shape == image.shape:
                people = np.concatenate([self._waiting.people_xyxy, following.newcomers_xyxy()])
                self._add(msgspec.structs.replace(self._waiting, people_xyxy=people))
            known = LookedAt(image, at_ms, following.people_xyxy(), following.vehicles_xyxy())
            self._waiting = known if self._ring.wants(at_ms) else None

    def _add(self, picture: LookedAt) -> None:
        image = picture.image
        if self._masks or len(picture.people_xyxy):
            image = redacted(image, self._masks, picture.people_xyxy, picture.vehicles_xyxy)
        self._ring.add(image, picture.at_ms)


def dated(seen: Observation, shift_ms: int) -> Observation:
    """Return an observation of a source's timeline at its date."""
    replace = msgspec.structs.replace
    if isinstance(seen, FallingObject):
        path = tuple(replace(one, at_ms=one.at_ms + shift_ms) for one in seen.path)
        return replace(seen, at_ms=seen.at_ms + shift_ms, started_ms=seen.started_ms + shift_ms, path=path)
    if isinstance(seen, ObjectInZone | LinePassed):
        return replace(seen, at_ms=seen.at_ms + shift_ms)
    raise LinliError(f"no date for an observation of type {type(seen).__name__}")
