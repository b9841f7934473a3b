"""One camera's pictures, judged: every analyser in turn, and the redacted picture kept for evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import structlog

from detectors.vision.detection.detections import Floats, Image
from detectors.vision.falling.falling_analyser import FallingAnalyser
from detectors.vision.geometry.picture_size import Size, same_shape, size_of
from detectors.vision.geometry.shapes import Mask
from detectors.vision.observations import Observation
from detectors.vision.tracking.object_analyser import FollowingAnalyser
from edge.capture.capture import Frame
from edge.capture.ring import FrameRing
from edge.evidence.redact import redacted
from edge.inference.analysers import AnalyserSet

STEP_BACK_MS = 2_000  # a clock set back further begins everything anew
LONGEST_STEP_MS = 1_000
SLEW = 0.2
_log = structlog.get_logger("edge.inference.pipeline")
_NOBODY = np.zeros((0, 4), np.float32)


class PictureTime:
    """The time that analysers see: never still, never back, and as fast as pictures come.

    After a clock was set back a little, it goes on at four fifths of its speed until the clock has caught up. Standing
    still instead would blind whoever looks five times a second.
    """

    def __init__(self) -> None:
        self.at_ms = 0
        self._clock_ms, self._step_ms = 0, 1

    def next(self, clock_ms: int) -> int:
        """Return the time of the next picture, which the clock says was at ``clock_ms``.

        >>> time = PictureTime()
        >>> [time.next(at_ms) for at_ms in (1_000, 1_100, 600, 700, 800)]
        [1000, 1100, 1180, 1260, 1340]
        """
        passed_ms = clock_ms - self._clock_ms
        self._clock_ms = clock_ms
        if passed_ms > 0:
            self._step_ms = min(passed_ms, LONGEST_STEP_MS)
        step_ms = passed_ms if passed_ms > 0 else self._step_ms if passed_ms < 0 else 1
        ahead_ms = self.at_ms + step_ms - clock_ms
        if ahead_ms > 0:
            step_ms = max(step_ms - min(ahead_ms, int(step_ms * SLEW)), 1)
        self.at_ms = max(self.at_ms + step_ms, clock_ms)
        return self.at_ms


class LookedAt(msgspec.Struct, frozen=True):
    """A picture and the boxes of the people and vehicles on it, (N, 4) px."""

    image: Image
    at_ms: int
    people_xyxy: Floats
    vehicles_xyxy: Floats


class Pipeline:
    """Frame in, observations out; the ring fills by the way.

    Args:
        make_analysers: fresh analysers, given the number of their first track; called again when time steps back.
        masks: what is never shown.
        ring: where redacted pictures go.
    """

    def __init__(self, make_analysers: Callable[[int], AnalyserSet], masks: Sequence[Mask], ring: FrameRing) -> None:
        self._make_analysers, self._masks, self._ring = make_analysers, masks, ring
        self._analysers: AnalyserSet | None = None
        self._time = PictureTime()
        self._waiting: LookedAt | None = None
        self._size: Size | None = None
        self.looked = False

    def process(self, frame: Frame) -> list[Observation]:
        """Return the observations that this frame completes, in order of time; ``looked`` says if a detector ran."""
        if self._analysers is None or frame.at_ms < self._time.at_ms - STEP_BACK_MS:
            self._analysers, self._time = self._make_analysers(frame.at_ms), PictureTime()
            self._waiting = None
        at_ms = self._time.next(frame.at_ms)
        self._note_size(size_of(frame.image))
        seen = [one for analyser in self._analysers.analysers for one in analyser.process(frame.image, at_ms)]
        following = self._analysers.following
        self.looked = following is not None and following.looked(at_ms)
        self._keep(frame.image, following, at_ms)
        return sorted(seen, key=lambda observation: observation.at_ms)

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
