"""What is wrong with a camera's pictures, by themselves and against how they used to be: pure, fed twice a second.

A reason is said when it has held for a while or for a share of a longer while, and is over when it has not for a while.
What "used to be" is, is learned in the first half minute in which nothing is wrong, and followed slowly: dusk is no
fault. Turning slowly is one, so how far the view went is added up.
"""

from __future__ import annotations

import msgspec
import numpy as np

from contracts.events import CameraImpairment
from detectors.vision.detection.detections import Image
from detectors.vision.health.drift import Drift
from detectors.vision.health.lasting import Lasting
from detectors.vision.health.picture_traits import Cells, PictureTraits, likeness, traits_of
from detectors.vision.health.stillness import Stillness

HOLD_MS = {
    CameraImpairment.BLACK: 15_000,
    CameraImpairment.COVERED: 15_000,
    CameraImpairment.FROZEN: 0,  # is a sign only after STILL_MS
    CameraImpairment.MOVED: 35_000,
    CameraImpairment.BLURRED: 35_000,
}
FADES = {CameraImpairment.BLACK: 1 / 3, CameraImpairment.COVERED: 1 / 3}
_FADE = 1.0  # what stands before a camera half of the time, as traffic does, is no other view
OVER_MS, OFTEN_OVER_MS = 10_000, 60_000
LEARN_MS = 30_000

BLACK_BELOW = 32.0  # video black is 16; a picture at night has lamps
COVERED_FLAT, COVERED_MIDDLE = 0.97, 0.7  # a hand or paint shows noise at most; open sky still has 2 in the middle
ONE_ROW = 0.5  # smeared, bars, a text on blue: one row is most of the picture; views of real cameras have 0.0
ROW_FROM, ROW_TO, ROW_COLOUR = 40.0, 250.0, 60.0  # a night is black and a sky white in many rows; a screen is coloured
WHITE_PART = 0.75
NOISE_LIKE, NOISE_RATIO = 0.15, 1.2  # nothing lies where it lay half a second ago, and all of it is fine
BLURRED_PART = 0.4  # of the usual fine structure, for the contrast there is; 3 px of blur in 1280 leave 0.3
BLURRED_RATIO, BLURRED_FINE = (
    0.25,
    2.5,
)  # without a past: fine against middle structure; sharp pictures have 0.38 or more
FADED_PART, FADED_LIGHT = 0.2, 100.0  # of the usual structure and contrast, and it is not dark: dirt, mist on the lens
MOVED_BELOW = 0.4  # likeness of edges; a crowd or a lorry leaves 0.5
LASTING = 0.5  # likeness to what used to be; birds before the sky have 0.1, and no view that could be another one
DRIFTED_PART = 0.075  # of the width, by and by: lines and zones no longer lie where they were drawn
COLOURED, GREY = 12.0, 4.0  # mean saturation by day, and by infrared light: another picture, though nothing moved
_FOLLOW_MS = 300_000.0


class _Usual(msgspec.Struct):
    """How the pictures used to be. ``alike``: how much each was like those before it, 0 to 1."""

    fine: float
    contrast: float
    colour: float
    edges: Cells
    alike: float
    since_ms: float
    seen_ms: float


class PictureHealth:
    """Looks at one camera's pictures. ``wrong`` is what is said now."""

    def __init__(self) -> None:
        self._usual: _Usual | None = None
        self._before: PictureTraits | None = None
        self._stillness, self._drift = Stillness(), Drift()
        self._lastings = _lastings()
        self.wrong: frozenset[CameraImpairment] = frozenset()

    def look(self, picture: Image, now_ms: float) -> frozenset[CameraImpairment]:
        """Return what is wrong, after this picture at ``now_ms`` (monotonic)."""
        return self.judge(traits_of(picture), now_ms)

    def judge(self, traits: PictureTraits, now_ms: float) -> frozenset[CameraImpairment]:
        """Return what is wrong, after a picture with these traits."""
        signs = self._signs(traits, now_ms)
        self._before = traits
        if not signs:
            self._learn(traits, now_ms)
        elif CameraImpairment.FROZEN in signs and self._is_learning(now_ms):
            self._usual = None
        self.wrong = frozenset(
            sign for sign, lasting in self._lastings.items() if lasting.look(now_ms, is_there=sign in signs)
        )
        return self.wrong

    def forget(self) -> None:
        """Take that no pictures come: nothing is wrong with them, and what they used to be stays known."""
        self._lastings = _lastings()
        self._stillness.forget()
        self._before, self.wrong = None, frozenset()

    def _signs(self, traits: PictureTraits, now_ms: float) -> set[CameraImpairment]:
        signs = {CameraImpairment.FROZEN} if self._stillness.look(traits.spots, now_ms) else set()
        if traits.brightest < BLACK_BELOW:
            return signs | {CameraImpairment.BLACK}
        if _shows_nothing(traits) or (self._before is not None and _is_noise(self._before, traits)):
            return signs | {CameraImpairment.COVERED}
        self._drift.look(traits.slopes, now_ms)
        return signs | self._changes(traits, now_ms)

    def _changes(self, traits: PictureTraits, now_ms: float) -> set[CameraImpairment]:
        """Return what is wrong against how the pictures used to be, or which is so without a past."""
        usual = self._usual
        if usual is None or self._is_learning(now_ms):
            return {CameraImpairment.BLURRED} if _is_soft(traits) else set()
        if _is_other_light(usual, traits):
            self._usual = None
            self._drift.other_light()
            return set()
        if _is_blurred(usual, traits):
            return {CameraImpairment.BLURRED}
        return {CameraImpairment.MOVED} if self._has_moved(usual, traits) else set()

    def _has_moved(self, usual: _Usual, traits: PictureTraits) -> bool:
        is_other = usual.alike >= LASTING and likeness(traits.edges, usual.edges) < MOVED_BELOW
        return is_other or self._drift.part >= DRIFTED_PART

    def _is_learning(self, now_ms: float) -> bool:
        return self._usual is not None and now_ms - self._usual.since_ms < LEARN_MS

    def _learn(self, traits: PictureTraits, now_ms: float) -> None:
        if self._usual is None:
            self._usual = _Usual(traits.fine, traits.contrast, traits.colour, traits.edges, 1.0, now_ms, now_ms)
            return
        usual = self._usual
        time_ms = min(max(now_ms - usual.since_ms, 1.0), _FOLLOW_MS)
        part = min((now_ms - usual.seen_ms) / time_ms, 1.0)
        usual.fine += part * (traits.fine - usual.fine)
        usual.contrast += part * (traits.contrast - usual.contrast)
        usual.colour += part * (traits.colour - usual.colour)
        usual.alike += part * (likeness(traits.edges, usual.edges) - usual.alike)
        usual.edges = usual.edges + np.float32(part) * (traits.edges - usual.edges)
        usual.seen_ms = now_ms


def _lastings() -> dict[CameraImpairment, Lasting]:
    return {
        sign: Lasting(hold_ms, FADES.get(sign, _FADE), over_ms=OVER_MS, often_over_ms=OFTEN_OVER_MS)
        for sign, hold_ms in HOLD_MS.items()
    }


def _shows_nothing(traits: PictureTraits) -> bool:
    """Return whether it is flat, white, or one row over and over: a screen or bars for a lost signal, a smear."""
    if traits.flat_part >= COVERED_FLAT and traits.middle < COVERED_MIDDLE:
        return True
    is_lit = traits.row_middle >= ROW_FROM or traits.colour >= ROW_COLOUR
    is_one_row = is_lit and traits.row_middle < ROW_TO and traits.row_part >= ONE_ROW
    return is_one_row or traits.white_part >= WHITE_PART


def _is_noise(before: PictureTraits, traits: PictureTraits) -> bool:
    if traits.fine < NOISE_RATIO * traits.middle or likeness(traits.edges, before.edges) >= NOISE_LIKE:
        return False
    return likeness(traits.cells, before.cells) < NOISE_LIKE


def _is_blurred(usual: _Usual, traits: PictureTraits) -> bool:
    if traits.fine / max(traits.contrast, 1.0) < BLURRED_PART * usual.fine / max(usual.contrast, 1.0):
        return True
    is_faded = traits.fine < FADED_PART * usual.fine and traits.contrast < FADED_PART * usual.contrast
    return is_faded and traits.brightest >= FADED_LIGHT


def _is_soft(traits: PictureTraits) -> bool:
    return traits.fine < BLURRED_FINE and traits.fine < BLURRED_RATIO * traits.middle


def _is_other_light(usual: _Usual, traits: PictureTraits) -> bool:
    """Return whether the camera went over to infrared light, or back: its edges are others, and it did not move."""
    return (usual.colour > COLOURED and traits.colour < GREY) or (usual.colour < GREY and traits.colour > COLOURED)
