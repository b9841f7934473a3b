"""Is this tracklet a fall? Every bound is a duration, a length or a physical limit, with its reason beside it."""

from __future__ import annotations

import enum

import msgspec
import numpy as np

from detectors.vision.free_fall import (
    GRAVITY_MS2,
    MIN_SIGHTINGS,
    FallFit,
    Path,
    fit_calibrated,
    fit_uncalibrated,
)
from detectors.vision.perspective import Perspective
from detectors.vision.tracklets import Sighting, Tracklet

# Two storeys from rest take 1.1 s; an object already fast passes them in half a second.
MIN_DURATION_S = 0.45
MIN_STOREYS = 2.0
# A curve through less than this says nothing about gravity: an error of a pixel would be a tenth of it.
MIN_TRAVEL_PART = 0.06
# An object in flight is seen in at least half of the pictures; chains of chance blobs are not.
MIN_SEEN_PART = 0.5
# For an unknown camera gravity is the bend of the path: it must be known to a tenth, over a good part of the picture.
MIN_BEND_ERRORS = 10.0
MIN_TRAVEL_PART_UNCALIBRATED = 0.12
# What tumbling, drag and blob centres leave: measured 0.7–4.5 px on falls of 500–650 px.
MAX_ERROR_PX, MAX_ERROR_PART = 1.2, 0.008
# Wind, flutter and a facade that is not square to the camera bend the path sideways more than gravity's share.
MAX_SIDEWAYS_ERROR_PX, MAX_SIDEWAYS_ERROR_PART = 2.5, 0.02
MAX_SIDEWAYS_MS = 12.0  # thrown hard, or blown by a storm
# From a cigarette pack to a mattress.
MIN_SIZE_M, MAX_SIZE_M = 0.015, 2.0
MAX_DROP_M = 250.0
# A scale that any camera could have given is no evidence of two storeys: the drop must be known to four fifths.
MAX_DROP_ERROR_PART = 0.8
# Drag makes the measured g small (a light bottle after 4 s: 5), click and depth errors shift it by a tenth or two.
MIN_GRAVITY_MS2, MAX_GRAVITY_MS2 = 5.0, 13.0
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


class Scene(msgspec.Struct, frozen=True):
    """What a verdict needs to know of the camera: picture size px, its perspective if known, a storey's height m."""

    width_px: int
    height_px: int
    perspective: Perspective | None
    storey_height_m: float


class Verdict(msgspec.Struct, frozen=True):
    """``reason`` None: a fall (``suspected``: one that fails gravity). ``sightings`` are the part that was judged."""

    reason: Reason | None
    suspected: bool
    fit: FallFit | None
    sightings: tuple[Sighting, ...]


def judge(track: Tracklet, scene: Scene, frame_ms: float) -> Verdict:
    """The verdict on a finished tracklet; ``frame_ms`` is the usual time between pictures."""
    sightings = tuple(track.sightings)
    reason = _too_little(sightings, scene, frame_ms)
    if reason is not None:
        return Verdict(reason, suspected=False, fit=None, sightings=sightings)
    best = Verdict(Reason.NOT_FREE_FALL, suspected=False, fit=None, sightings=sightings)
    for part in _parts(sightings):
        if _too_little(part, scene, frame_ms) is not None:
            continue
        verdict = _judge_part(part, scene)
        if verdict.reason is None:
            return verdict
        if best.fit is None:
            best = verdict
    return _suspect(best, scene)


def _parts(sightings: tuple[Sighting, ...]) -> list[tuple[Sighting, ...]]:
    """The sightings, then shorter and shorter pieces of them."""
    first, duration = sightings[0].at_ms, sightings[-1].at_ms - sightings[0].at_ms
    cuts = sorted(((h, t) for h in _HEAD_PARTS for t in _TAIL_PARTS), key=sum)
    parts = []
    for head, tail in cuts:
        from_ms, to_ms = first + head * duration, first + (1.0 - tail) * duration
        parts.append(tuple(s for s in sightings if from_ms <= s.at_ms <= to_ms))
    return parts


def _too_little(sightings: tuple[Sighting, ...], scene: Scene, frame_ms: float) -> Reason | None:
    if len(sightings) < MIN_SIGHTINGS:
        return Reason.TOO_SHORT
    duration_ms = sightings[-1].at_ms - sightings[0].at_ms
    if duration_ms < MIN_DURATION_S * 1000:
        return Reason.TOO_SHORT
    part = MIN_TRAVEL_PART if scene.perspective else MIN_TRAVEL_PART_UNCALIBRATED
    if sightings[-1].y - sightings[0].y < part * scene.height_px:
        return Reason.TOO_LITTLE_WAY
    if (len(sightings) - 1) * frame_ms < MIN_SEEN_PART * duration_ms:
        return Reason.SEEN_TOO_SELDOM
    return None


def _judge_part(sightings: tuple[Sighting, ...], scene: Scene) -> Verdict:
    fit = _fit(sightings, scene)
    reason = Reason.NOT_FREE_FALL if fit is None else _wrong(fit, sightings, scene)
    return Verdict(reason, suspected=False, fit=fit, sightings=sightings)


def _fit(sightings: tuple[Sighting, ...], scene: Scene) -> FallFit | None:
    start_ms = sightings[0].at_ms
    path = Path(
        np.array([(s.at_ms - start_ms) / 1000.0 for s in sightings]),
        np.array([s.x - scene.width_px / 2 for s in sightings]),
        np.array([s.y - scene.height_px / 2 for s in sightings]),
    )
    if scene.perspective is None:
        return fit_uncalibrated(path)
    return fit_calibrated(path, scene.perspective, scene.height_px / 2)


def _wrong(fit: FallFit, sightings: tuple[Sighting, ...], scene: Scene) -> Reason | None:
    travel_px = sightings[-1].y - sightings[0].y
    unknown = scene.perspective is None
    objections = (
        (Reason.WRONG_GRAVITY, not unknown and _gravity_is_wrong(fit)),
        (Reason.NOT_FREE_FALL, fit.error_px > MAX_ERROR_PX + MAX_ERROR_PART * travel_px),
        (Reason.NO_ACCELERATION, unknown and fit.bend_px < MIN_BEND_ERRORS * fit.error_px),
        (Reason.NOT_STRAIGHT, fit.sideways_error_px > MAX_SIDEWAYS_ERROR_PX + MAX_SIDEWAYS_ERROR_PART * travel_px),
        (Reason.TOO_FAST_SIDEWAYS, fit.sideways_ms > MAX_SIDEWAYS_MS),
        (Reason.LESS_THAN_TWO_STOREYS, fit.drop_m < MIN_STOREYS * scene.storey_height_m),
        (Reason.SCALE_UNKNOWN, fit.drop_error_m > MAX_DROP_ERROR_PART * fit.drop_m),
        (Reason.IMPOSSIBLE_HEIGHT, fit.drop_m > MAX_DROP_M),
        (Reason.WRONG_SIZE, not MIN_SIZE_M <= size_px(sightings) / fit.px_per_m <= MAX_SIZE_M),
    )
    return next((reason for reason, holds in objections if holds), None)


def _gravity_is_wrong(fit: FallFit) -> bool:
    return (
        not MIN_GRAVITY_MS2 <= fit.gravity_ms2 <= MAX_GRAVITY_MS2
        or fit.gravity_error_ms2 > MAX_GRAVITY_ERROR_MS2
        or fit.first_speed_ms < -0.25 * GRAVITY_MS2
    )


def _suspect(verdict: Verdict, scene: Scene) -> Verdict:
    """The same verdict, or *suspected* when the way down was long and fast though not gravity's."""
    fit = verdict.fit
    if fit is None or scene.perspective is None or verdict.reason is not Reason.WRONG_GRAVITY:
        return verdict
    sightings = verdict.sightings
    duration_s = (sightings[-1].at_ms - sightings[0].at_ms) / 1000.0
    deep = fit.drop_m >= SUSPECTED_STOREYS * scene.storey_height_m
    fast = SUSPECTED_SPEED_MS <= fit.drop_m / duration_s <= MAX_SPEED_MS and duration_s >= SUSPECTED_DURATION_S
    downwards = MIN_SUSPECTED_GRAVITY_MS2 <= fit.gravity_ms2 <= MAX_SUSPECTED_GRAVITY_MS2
    small = size_px(sightings) / fit.px_per_m <= MAX_SIZE_M
    smooth = fit.error_px <= 2 * (MAX_ERROR_PX + MAX_ERROR_PART * (sightings[-1].y - sightings[0].y))
    steep = fit.sideways_ms * duration_s <= 0.5 * fit.drop_m
    if deep and fast and downwards and small and smooth and steep:
        return Verdict(None, suspected=True, fit=fit, sightings=sightings)
    return verdict


def size_px(sightings: tuple[Sighting, ...]) -> float:
    """The object's size near the end of its way: the root of its blob's area, px."""
    tail = sightings[len(sightings) * 2 // 3 :]
    return float(np.sqrt(np.median([s.area for s in tail])))
