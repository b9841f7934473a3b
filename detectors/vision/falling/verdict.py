"""Is this tracklet a fall? Every bound is a duration, a length or a physical limit, with its reason beside it."""

from __future__ import annotations

import enum
import math

import msgspec
import numpy as np

from detectors.vision.falling.free_fall import (
    GRAVITY_MS2,
    MIN_SIGHTINGS,
    FallFit,
    SightingPath,
    fit_calibrated,
    fit_uncalibrated,
)
from detectors.vision.falling.tracklets import Sighting, Tracklet
from detectors.vision.geometry.perspective import Perspective

# Two storeys from rest take 1.1 s; an object already fast passes them in half a second.
MIN_DURATION_S = 0.45
MIN_STOREYS = 2.0
# A curve through less than this says nothing about gravity: an error of a pixel would be a tenth of it.
MIN_TRAVEL_PART = 0.06
# An object in flight is seen in two of five pictures or more, whatever it passes; chains of chance blobs are not.
MIN_SEEN_PART = 0.4
# For an unknown camera gravity is the bend of the path: it must be known to a tenth, over a good part of the picture.
MIN_BEND_ERRORS = 10.0
MIN_TRAVEL_PART_UNCALIBRATED = 0.15
MIN_DURATION_UNCALIBRATED_S = 0.6
# … and its scale in metres comes out a quarter too small as easily as too large.
UNKNOWN_SCALE = 0.75
# The centre of a blob is known to a part of its size and drag bends the path a little: 0.7–4.5 px were measured on
# falls of 500–650 px. A chain of chance specks misses its curve by more than a speck.
MAX_ERROR_PX, MAX_ERROR_SIZES, MAX_ERROR_PART = 0.8, 0.15, 0.004
# Wind, flutter and a facade that is not square to the camera bend the path sideways several times as much.
SIDEWAYS_FACTOR = 2.5
MAX_SIDEWAYS_MS = 12.0  # thrown hard, or blown by a storm
# From a cigarette pack to a mattress.
MIN_SIZE_M, MAX_SIZE_M = 0.015, 2.0
MAX_DROP_M = 250.0
# A scale that any camera could have given is no evidence of two storeys: the drop must be known to four fifths.
MAX_DROP_ERROR_PART = 0.8
# Depth before the wall and clicks shift the measured g by a tenth or two. Air takes (v/vₜ)² of it: the lightest things
# that matter have a terminal speed of 14 m/s, so a slow thing must show nearly all of g and a fast one about half.
MIN_GRAVITY_MS2, MAX_GRAVITY_MS2 = 5.0, 13.0
SCALE_ERROR_PART = 0.15
LIGHTEST_TERMINAL_MS = 14.0
MAX_GRAVITY_ERROR_MS2 = 3.0
# Suspected: deep down and faster than anything that climbs, drifts or is let down on a rope.
SUSPECTED_STOREYS = 3.0
SUSPECTED_SPEED_MS = 5.0
SUSPECTED_DURATION_S = 0.8
# Nothing falls past a facade faster; at its terminal velocity a light thing has no acceleration left to measure.
MAX_SPEED_MS = 45.0
MIN_SUSPECTED_GRAVITY_MS2, MAX_SUSPECTED_GRAVITY_MS2 = -2.0, 20.0

# What precedes the release (a hand, a window) and what follows the impact belong to the tracklet, not to the fall.
_HEAD_PARTS = (0.0, 0.1, 0.2, 0.3, 0.42, 0.55)
_TAIL_PARTS = (0.0, 0.1, 0.2)
CLEAN_FACTOR, CLEAN_PART = 1.4, 0.05


class Reason(enum.StrEnum):
    """Why a tracklet is no fall."""

    TOO_SHORT = "too_short"
    TOO_LITTLE_WAY = "too_little_way"
    SEEN_TOO_SELDOM = "seen_too_seldom"
    NOT_FREE_FALL = "not_free_fall"
    NO_ACCELERATION = "no_acceleration"
    WRONG_GRAVITY = "wrong_gravity"
    NOT_STRAIGHT = "not_straight"
    TOO_FAST_SIDEWAYS = "too_fast_sideways"
    LESS_THAN_TWO_STOREYS = "less_than_two_storeys"
    SCALE_UNKNOWN = "scale_unknown"
    IMPOSSIBLE_HEIGHT = "impossible_height"
    WRONG_SIZE = "wrong_size"


class CameraView(msgspec.Struct, frozen=True):
    """The facts of a camera that a verdict needs: picture size px, perspective if known, a storey's height m."""

    width_px: int
    height_px: int
    perspective: Perspective | None
    storey_height_m: float


class FallVerdict(msgspec.Struct, frozen=True):
    """``reason`` None: a fall (``suspected``: one that fails gravity). ``sightings`` are the part that was judged."""

    reason: Reason | None
    suspected: bool
    fit: FallFit | None
    sightings: tuple[Sighting, ...]

    @property
    def error_part(self) -> float:
        """The fit's error in parts of the largest allowed for its length; infinite without a fit."""
        return self.fit.error_px / allowed_px(self.sightings) if self.fit else math.inf


def allowed_px(sightings: tuple[Sighting, ...]) -> float:
    """Return the largest error a fall of this size and length may have."""
    travel_px = max(sightings[-1].y - sightings[0].y, 0.0)
    return MAX_ERROR_PX + MAX_ERROR_SIZES * size_px(sightings) + MAX_ERROR_PART * travel_px


def judge(track: Tracklet, scene: CameraView, frame_ms: float) -> FallVerdict:
    """Return the verdict on a finished tracklet; ``frame_ms`` is the usual time between pictures."""
    sightings = tuple(track.sightings)
    reason = _too_little(sightings, scene, frame_ms)
    if reason is not None:
        return FallVerdict(reason, suspected=False, fit=None, sightings=sightings)
    best = FallVerdict(Reason.NOT_FREE_FALL, suspected=False, fit=None, sightings=sightings)
    for tail in _TAIL_PARTS:
        verdicts = _judge_heads(sightings, tail, scene, frame_ms)
        falls = [verdict for verdict in verdicts if verdict.reason is None]
        if falls:
            return _longest_clean(falls)
        best = next((v for v in verdicts if v.fit), best) if best.fit is None else best
    return _suspect(best, scene)


def _judge_heads(sightings: tuple[Sighting, ...], tail: float, scene: CameraView, frame_ms: float) -> list[FallVerdict]:
    """Return verdicts without the last ``tail`` (a part of the time) and without more and more of the first."""
    first, duration = sightings[0].at_ms, sightings[-1].at_ms - sightings[0].at_ms
    verdicts = []
    for head in _HEAD_PARTS:
        from_ms, to_ms = first + head * duration, first + (1.0 - tail) * duration
        part = tuple(s for s in sightings if from_ms <= s.at_ms <= to_ms)
        if _too_little(part, scene, frame_ms) is None:
            verdicts.append(_judge_part(part, scene))
    return verdicts


def _longest_clean(falls: list[FallVerdict]) -> FallVerdict:
    """Return the longest part whose error is near the best one's: a hand before the release bends the whole curve."""
    least = min(v.error_part for v in falls)
    clean = [v for v in falls if v.error_part <= CLEAN_FACTOR * least + CLEAN_PART]
    return max(clean, key=lambda v: len(v.sightings))


def _too_little(sightings: tuple[Sighting, ...], scene: CameraView, frame_ms: float) -> Reason | None:
    if len(sightings) < MIN_SIGHTINGS:
        return Reason.TOO_SHORT
    duration_ms = sightings[-1].at_ms - sightings[0].at_ms
    if duration_ms < 1000 * (MIN_DURATION_S if scene.perspective else MIN_DURATION_UNCALIBRATED_S):
        return Reason.TOO_SHORT
    part = MIN_TRAVEL_PART if scene.perspective else MIN_TRAVEL_PART_UNCALIBRATED
    if sightings[-1].y - sightings[0].y < part * scene.height_px:
        return Reason.TOO_LITTLE_WAY
    if (len(sightings) - 1) * frame_ms < MIN_SEEN_PART * duration_ms:
        return Reason.SEEN_TOO_SELDOM
    return None


def _judge_part(sightings: tuple[Sighting, ...], scene: CameraView) -> FallVerdict:
    fit = _fit(sightings, scene)
    reason = Reason.NOT_FREE_FALL if fit is None else _wrong(fit, sightings, scene)
    return FallVerdict(reason, suspected=False, fit=fit, sightings=sightings)


def _fit(sightings: tuple[Sighting, ...], scene: CameraView) -> FallFit | None:
    start_ms = sightings[0].at_ms
    path = SightingPath(
        np.array([(s.at_ms - start_ms) / 1000.0 for s in sightings]),
        np.array([s.x - scene.width_px / 2 for s in sightings]),
        np.array([s.y - scene.height_px / 2 for s in sightings]),
    )
    if scene.perspective is None:
        return fit_uncalibrated(path)
    return fit_calibrated(path, scene.perspective, scene.height_px / 2)


def _wrong(fit: FallFit, sightings: tuple[Sighting, ...], scene: CameraView) -> Reason | None:
    allowed = allowed_px(sightings)
    duration_s = (sightings[-1].at_ms - sightings[0].at_ms) / 1000.0
    unknown, two_storeys_m = scene.perspective is None, MIN_STOREYS * scene.storey_height_m
    objections = (
        (Reason.WRONG_GRAVITY, not unknown and _gravity_is_wrong(fit, duration_s)),
        (Reason.NOT_FREE_FALL, fit.error_px > allowed),
        (Reason.NO_ACCELERATION, unknown and fit.bend_px < MIN_BEND_ERRORS * fit.error_px),
        (Reason.NOT_STRAIGHT, fit.sideways_error_px > SIDEWAYS_FACTOR * allowed),
        (Reason.TOO_FAST_SIDEWAYS, fit.sideways_ms > MAX_SIDEWAYS_MS),
        (Reason.LESS_THAN_TWO_STOREYS, fit.drop_m < (UNKNOWN_SCALE if unknown else 1.0) * two_storeys_m),
        (Reason.SCALE_UNKNOWN, fit.drop_error_m > MAX_DROP_ERROR_PART * fit.drop_m),
        (Reason.IMPOSSIBLE_HEIGHT, fit.drop_m > MAX_DROP_M),
        (Reason.WRONG_SIZE, not MIN_SIZE_M <= size_px(sightings) / fit.px_per_m <= MAX_SIZE_M),
    )
    return next((reason for reason, holds in objections if holds), None)


def _least_gravity_ms2(fit: FallFit, duration_s: float) -> float:
    """Return what air, clicks and the error of measuring leave of g for the lightest thing at this mean speed."""
    mean_ms = min(fit.drop_m / duration_s, LIGHTEST_TERMINAL_MS)
    left = GRAVITY_MS2 * (1.0 - (mean_ms / LIGHTEST_TERMINAL_MS) ** 2) * (1.0 - SCALE_ERROR_PART)
    return max(left - 2.0 * fit.gravity_error_ms2, MIN_GRAVITY_MS2)


def _gravity_is_wrong(fit: FallFit, duration_s: float) -> bool:
    return (
        not _least_gravity_ms2(fit, duration_s) <= fit.gravity_ms2 <= MAX_GRAVITY_MS2
        or fit.gravity_error_ms2 > MAX_GRAVITY_ERROR_MS2
        or fit.first_speed_ms < -0.25 * GRAVITY_MS2
    )


def _suspect(verdict: FallVerdict, scene: CameraView) -> FallVerdict:
    """Return the same verdict, or *suspected* when the way down was long and fast though not gravity's."""
    fit = verdict.fit
    if fit is None or scene.perspective is None or verdict.reason is not Reason.WRONG_GRAVITY:
        return verdict
    sightings = verdict.sightings
    duration_s = (sightings[-1].at_ms - sightings[0].at_ms) / 1000.0
    deep = fit.drop_m >= SUSPECTED_STOREYS * scene.storey_height_m
    fast = SUSPECTED_SPEED_MS <= fit.drop_m / duration_s <= MAX_SPEED_MS and duration_s >= SUSPECTED_DURATION_S
    downwards = MIN_SUSPECTED_GRAVITY_MS2 <= fit.gravity_ms2 <= MAX_SUSPECTED_GRAVITY_MS2
    small = size_px(sightings) / fit.px_per_m <= MAX_SIZE_M
    smooth = verdict.error_part <= 1.0
    steep = fit.sideways_ms * duration_s <= 0.5 * fit.drop_m
    if deep and fast and downwards and small and smooth and steep:
        return FallVerdict(None, suspected=True, fit=fit, sightings=sightings)
    return verdict


def size_px(sightings: tuple[Sighting, ...]) -> float:
    """Return the object's size near the end of its way: the root of its blob's area, px."""
    tail = sightings[len(sightings) * 2 // 3 :]
    return float(np.sqrt(np.median([s.area for s in tail])))
