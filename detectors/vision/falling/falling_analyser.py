"""Falling objects: pictures in, one ``FallingObject`` per fall out.

Motion (``frame_difference``), blobs, tracklets, then physics (``verdict``): a thing that falls follows
y = (a + b·s)/(1 − c·s) with s = v₀·t + g·t²/2; birds, insects, leaves, people and cars do not. Found: what falls two
storeys or more in sight, from about 3 px. Not found: what falls behind trees for its whole way, is of the background's
own grey, or is seen for less than 0.45 s. A camera without storey edges cannot measure g: a bird that dives straight
down with just the right acceleration would pass there.
"""

from __future__ import annotations

import math
from collections import deque

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.falling.blobs import find_blobs
from detectors.vision.falling.frame_difference import CELL_PX, FrameDifference, Luma, MotionFrame
from detectors.vision.falling.free_fall import FallFit
from detectors.vision.falling.merge import FallGroup, FallGroups, span_of
from detectors.vision.falling.stitch import Stitcher
from detectors.vision.falling.tracklets import Linker, Sighting, Tracklet
from detectors.vision.falling.verdict import (
    MIN_TRAVEL_PART,
    CameraView,
    FallVerdict,
    Reason,
    judge,
    size_px,
)
from detectors.vision.geometry.facade import FacadeGeometry
from detectors.vision.geometry.perspective import calibrate
from detectors.vision.geometry.picture_size import Size, same_shape, size_of

# Above two megapixels detail is the lens's blur: a 4K picture is halved.
MAX_PIXELS = 2_200_000
MIN_SIDE_PX = 32
# The noise map must have seen the trees move before chains of their leaves can be told from paths.
WARM_UP_MS = 1_000
# A tracklet going down for this long may be the fall that a mirror image announced.
FALLING_MS = 250
# A stream that changes its size, not its shape, is judged at its old size for so long: what falls just now may end.
FINISH_MS = 2_500
# Rejected tracklets worth explaining went down at least this part of the picture for this long.
EXPLAIN_MS = 400
MAX_EXPLAINED = 1_000


class FallingObject(msgspec.Struct, frozen=True, kw_only=True):
    """One fall, in the words of ``contracts.events.ObjectFell``; ``path`` is its track for the evidence, full px."""

    track_id: int
    started_ms: int
    at_ms: int
    calibrated: bool
    suspected: bool
    drop_m: float | None
    drop_error_m: float | None
    floor: float | None
    floor_error: float | None
    column: str | None
    gravity_ms2: float | None
    fit_error_px: float
    size_px: float
    score: float
    path: tuple[Sighting, ...]

    @property
    def duration_ms(self) -> int:
        """From first to last sighting."""
        return self.at_ms - self.started_ms


class RejectedTrack(msgspec.Struct, frozen=True, kw_only=True):
    """A tracklet that went down and is no fall, with the numbers that spoke against it."""

    reason: Reason
    from_ms: int
    to_ms: int
    from_xy: tuple[float, float]
    to_xy: tuple[float, float]
    sightings: int
    error_px: float | None
    gravity_ms2: float | None
    drop_m: float | None


class FallingAnalyser:
    """Watches one camera's pictures for falls. Feed it every picture in order of time.

    When their size changes, what has fallen is said, and what falls is followed to its end where the shape is the same.
    ``misfit`` says why the calibration is not used, empty when it fits or there is none.
    """

    def __init__(self, geometry: FacadeGeometry | None = None, *, first_track_id: int = 1) -> None:
        self._geometry = geometry or FacadeGeometry()
        self._rejected: deque[RejectedTrack] = deque(maxlen=MAX_EXPLAINED)
        self._next_track_id = first_track_id
        self._shape: tuple[int, ...] = ()
        self._now_ms = self._begun_ms = -1
        self._frame_ms = 40.0
        self._other_size_ms: int | None = None
        self.misfit = ""

    def process(self, picture: npt.NDArray[np.uint8], at_ms: int) -> list[FallingObject]:
        """Return falls that ended by now.

        Args:
            picture: (H, W, 3) BGR or (H, W) luma, uint8.
            at_ms: when it was taken; later than the one before, otherwise the picture is ignored.

        Raises:
            ConfigurationError: on the first picture, when the storey edges do not fit a wall.
            ValueError: the array is not a picture.
        """
        if at_ms <= self._now_ms:
            return []
        luma, ended = _luma_of(picture), []
        if luma.shape == self._shape:
            self._other_size_ms = None
        elif self._finishes(luma, at_ms):
            luma = np.asarray(cv2.resize(luma, (self._shape[1], self._shape[0])), np.uint8)
        else:
            ended = self.flush()
            self._begin(luma)
        self._now_ms = at_ms
        self._begun_ms = self._begun_ms if self._begun_ms >= 0 else at_ms
        for motion in self._difference.push(self._reduced(luma), at_ms):
            self._follow(motion)
        return [*ended, *self._due(at_ms)]

    def flush(self) -> list[FallingObject]:
        """Return the falls still open at the end of the stream."""
        if not self._shape:
            return []
        for track in self._linker.flush():
            self._judge(track)
        return [self._describe(group) for group in self._groups.complete(math.inf)]

    def take_rejected(self) -> list[RejectedTrack]:
        """Return the rejected tracklets since the last call, at most the newest ``MAX_EXPLAINED``."""
        taken = list(self._rejected)
        self._rejected.clear()
        return taken

    def _finishes(self, luma: Luma, at_ms: int) -> bool:
        """Return whether pictures of another size are judged at the old one for now: something may be falling."""
        if not self._shape or not same_shape(size_of(luma), (self._shape[1], self._shape[0])):
            return False
        self._other_size_ms = at_ms if self._other_size_ms is None else self._other_size_ms
        return at_ms - self._other_size_ms < FINISH_MS

    def _begin(self, luma: Luma) -> None:
        self._shape, self._other_size_ms = luma.shape, None
        self._fit_calibration(size_of(luma))
        height, width = luma.shape
        self._factor = 2 if height * width > MAX_PIXELS else 1
        # whole cells of the noise map; at most three rows and columns are cut off
        height, width = (side // self._factor // CELL_PX * CELL_PX for side in (height, width))
        perspective = None if self.misfit else calibrate(self._geometry, luma.shape[0] // self._factor)
        self._scene = CameraView(width, height, perspective, self._geometry.storey_height_m)
        self._difference, self._linker = FrameDifference(), Linker(height)
        self._stitcher, self._groups = Stitcher(height), FallGroups(width)
        self._last_motion_ms = -1.0
        self._begun_ms = self._now_ms

    def _fit_calibration(self, size: Size) -> None:
        """See whether what was clicked can be found in pictures of this size; it was in the first if none is said."""
        geometry = self._geometry
        clicked = (geometry.width_px or size[0], geometry.height_px or size[1])
        self._geometry = msgspec.structs.replace(geometry, width_px=clicked[0], height_px=clicked[1])
        fits = same_shape(clicked, size) or not (geometry.storey_edges or geometry.columns)
        self.misfit = "" if fits else misfit(clicked, size)

    def _reduced(self, luma: Luma) -> Luma:
        height, width = self._scene.height_px * self._factor, self._scene.width_px * self._factor
        whole = luma[:height, :width]
        if self._factor == 1:
            return whole
        size = (self._scene.width_px, self._scene.height_px)
        return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _follow(self, motion: MotionFrame) -> None:
        if self._last_motion_ms >= 0:
            passed = min(motion.at_ms - self._last_motion_ms, 500)
            self._frame_ms += 0.1 * (passed - self._frame_ms)
        self._last_motion_ms = motion.at_ms
        for track in self._linker.push(find_blobs(motion)):
            self._judge(track)

    def _judge(self, track: Tracklet) -> None:
        learned_ms = self._begun_ms + WARM_UP_MS
        if track.last.at_ms < learned_ms:
            return
        for whole in [*self._stitcher.wholes(track), track]:
            verdict = judge(whole, self._scene, self._frame_ms)
            if verdict.suspected and verdict.sightings[0].at_ms < learned_ms:
                return
            if verdict.reason is None:
                self._groups.add(verdict)
                return
        if track.duration_ms >= EXPLAIN_MS and track.travel_px >= MIN_TRAVEL_PART * self._scene.height_px:
            self._rejected.append(_explained(verdict, self._factor))

    def _due(self, now_ms: int) -> list[FallingObject]:
        falling = [
            span_of(t.sightings)
            for t in self._linker.tracks
            if t.duration_ms >= FALLING_MS and t.vy * FALLING_MS / 1000.0 >= MIN_TRAVEL_PART * self._scene.height_px
        ]
        return [self._describe(group) for group in self._groups.complete(now_ms, falling)]

    def _describe(self, group: FallGroup) -> FallingObject:
        verdict = group.best()
        fit = verdict.fit
        assert fit is not None  # a fall has a fit: judge() gives none without
        track_id, self._next_track_id = self._next_track_id, self._next_track_id + 1
        path = tuple(_scaled(s, self._factor) for s in verdict.sightings)
        floor, floor_error = self._floor(fit)
        calibrated = self._scene.perspective is not None
        return FallingObject(
            track_id=track_id,
            started_ms=round(path[0].at_ms),
            at_ms=round(path[-1].at_ms),
            calibrated=calibrated,
            suspected=verdict.suspected,
            # an unknown camera's scale rests on the fit alone: good enough to judge by, not to tell people
            drop_m=round(fit.drop_m, 2) if calibrated else None,
            drop_error_m=round(fit.drop_error_m, 2) if calibrated else None,
            floor=floor,
            floor_error=floor_error,
            column=self._column(path[0]),
            gravity_ms2=round(max(fit.gravity_ms2, 0.0), 2) if calibrated else None,
            fit_error_px=round(fit.error_px * self._factor, 2),
            size_px=round(size_px(path), 1),
            score=_score(verdict),
            path=path,
        )

    def _floor(self, fit: FallFit) -> tuple[float | None, float | None]:
        """Return the floor of origin, where the object would have been at rest, and its error, in storeys."""
        if fit.rest_height_m is None or fit.rest_error_m is None:
            return None, None
        storey = self._geometry.storey_height_m
        # one storey's half stays open: from hand, sill or railing
        error = max(fit.rest_error_m / storey, 0.5)
        floor = min(max(fit.rest_height_m / storey + 1.0, -10.0), 200.0)
        return round(floor, 1), round(min(error, 200.0), 1)

    def _column(self, first: Sighting) -> str | None:
        scale = self._shape[1] / self._geometry.width_px if self._geometry.width_px else 1.0
        for column in () if self.misfit else self._geometry.columns:
            if column.x_from_px * scale <= first.x <= column.x_to_px * scale:
                return column.place_id
        return None


def misfit(clicked: Size, size: Size) -> str:
    """Return why a calibration cannot be used in pictures of ``size``."""
    return f"calibrated in a picture of {clicked[0]}×{clicked[1]}, the stream's is {size[0]}×{size[1]}"


def _luma_of(picture: npt.NDArray[np.uint8]) -> Luma:
    is_picture = picture.dtype == np.uint8 and (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3))
    if not is_picture or min(picture.shape[:2]) < MIN_SIDE_PX:
        raise ValueError(
            f"expected (H, W, 3) BGR or (H, W) luma uint8 of {MIN_SIDE_PX} px or more, "
            f"got {picture.shape} {picture.dtype}"
        )
    if picture.ndim == 2:
        return picture
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)


def _scaled(seen: Sighting, factor: int) -> Sighting:
    if factor == 1:
        return seen
    return Sighting(
        seen.at_ms,
        seen.x * factor,
        seen.y * factor,
        seen.width * factor,
        seen.height * factor,
        seen.area * factor * factor,
    )


def _score(verdict: FallVerdict) -> float:
    """Return 1 for a curve without error, 0.5 at the largest error allowed; a suspected fall has half of it."""
    return round((1.0 - 0.5 * min(verdict.error_part, 1.0)) * (0.5 if verdict.suspected else 1.0), 3)


def _explained(verdict: FallVerdict, factor: int) -> RejectedTrack:
    first, last, fit = verdict.sightings[0], verdict.sightings[-1], verdict.fit
    return RejectedTrack(
        reason=verdict.reason or Reason.TOO_SHORT,
        from_ms=round(first.at_ms),
        to_ms=round(last.at_ms),
        from_xy=(round(first.x * factor, 1), round(first.y * factor, 1)),
        to_xy=(round(last.x * factor, 1), round(last.y * factor, 1)),
        sightings=len(verdict.sightings),
        error_px=round(fit.error_px, 2) if fit else None,
        gravity_ms2=round(fit.gravity_ms2, 2) if fit else None,
        drop_m=round(fit.drop_m, 1) if fit else None,
    )
