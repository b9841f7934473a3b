"""What is wrong with a camera's pictures, by themselves and against how they used to be: pure, fed twice a second.

A reason is said when it has held for a while, and is over when it has not for a while. What "used to be" is, is learned
in the first half minute in which nothing is wrong, and followed slowly: dusk is no fault.
"""

from __future__ import annotations

import msgspec
import numpy as np

from contracts.events import CameraImpairment
from detectors.vision.detection.detections import Image
from detectors.vision.health.picture_traits import Cells, PictureTraits, likeness, traits_of

HOLD_MS = {
    CameraImpairment.BLACK: 15_000,
    CameraImpairment.COVERED: 15_000,
    CameraImpairment.FROZEN: 20_000,
    CameraImpairment.MOVED: 35_000,
    CameraImpairment.BLURRED: 35_000,
}
OVER_MS = 10_000
LEARN_MS = 30_000

BLACK_BELOW = 32.0  # video black is 16; a picture at night has lamps
COVERED_FLAT, COVERED_MIDDLE = 0.97, 0.7  # a hand or paint shows noise at most; open sky still has 2 in the middle
FROZEN_MEAN, FROZEN_MOST = 0.25, 6  # coding again changes a still picture by less; a sensor's noise by more
BLURRED_PART = 0.4  # of the usual fine structure, for the contrast there is; 3 px of blur in 1280 leave 0.3
BLURRED_RATIO, BLURRED_FINE = (
    0.25,
    2.5,
)  # without a past: fine against middle structure; sharp pictures have 0.38 or more
MOVED_BELOW = 0.4  # likeness of edges; a crowd or a lorry leaves 0.5
COLOURED, GREY = 12.0, 4.0  # mean saturation by day, and by infrared light: another picture, though nothing moved
_FOLLOW_MS = 300_000.0


class _Usual(msgspec.Struct):
    """How the pictures used to be."""

    fine: float
    contrast: float
    colour: float
    edges: Cells
    since_ms: float
    seen_ms: float


class PictureHealth:
    """Looks at one camera's pictures. ``wrong`` is what is said now."""

    def __init__(self) -> None:
        self._usual: _Usual | None = None
        self._spots: PictureTraits | None = None
        self._since_ms: dict[CameraImpairment, float] = {}
        self._last_ms: dict[CameraImpairment, float] = {}
        self.wrong: frozenset[CameraImpairment] = frozenset()

    def look(self, picture: Image, now_ms: float) -> frozenset[CameraImpairment]:
        """Return what is wrong, after this picture at ``now_ms`` (monotonic)."""
        traits = traits_of(picture)
        signs = self._signs(traits, now_ms)
        self._spots = traits
        if not signs - {CameraImpairment.FROZEN}:
            self._learn(traits, now_ms)
        self._hold(signs, now_ms)
        return self.wrong

    def forget(self) -> None:
        """Take that no pictures come: nothing is wrong with them, and what they used to be stays known."""
        self._since_ms.clear()
        self._last_ms.clear()
        self._spots, self.wrong = None, frozenset()

    def _signs(self, traits: PictureTraits, now_ms: float) -> set[CameraImpairment]:
        signs = {CameraImpairment.FROZEN} if self._spots is not None and _is_same(self._spots, traits) else set()
        if traits.brightest < BLACK_BELOW:
            return signs | {CameraImpairment.BLACK}
        if traits.flat_part >= COVERED_FLAT and traits.middle < COVERED_MIDDLE:
            return signs | {CameraImpairment.COVERED}
        usual = self._usual
        if usual is None or now_ms - usual.since_ms < LEARN_MS:
            return signs | ({CameraImpairment.BLURRED} if _is_soft(traits) else set())
        if _is_other_light(usual, traits):
            self._usual = None
            return signs
        if traits.fine / max(traits.contrast, 1.0) < BLURRED_PART * usual.fine / max(usual.contrast, 1.0):
            return signs | {CameraImpairment.BLURRED}
        return signs | ({CameraImpairment.MOVED} if likeness(traits.edges, usual.edges) < MOVED_BELOW else set())

    def _learn(self, traits: PictureTraits, now_ms: float) -> None:
        if self._usual is None:
            self._usual = _Usual(traits.fine, traits.contrast, traits.colour, traits.edges, now_ms, now_ms)
            return
        usual = self._usual
        time_ms = min(max(now_ms - usual.since_ms, 1.0), _FOLLOW_MS)
        part = min((now_ms - usual.seen_ms) / time_ms, 1.0)
        usual.fine += part * (traits.fine - usual.fine)
        usual.contrast += part * (traits.contrast - usual.contrast)
        usual.colour += part * (traits.colour - usual.colour)
        usual.edges = usual.edges + np.float32(part) * (traits.edges - usual.edges)
        usual.seen_ms = now_ms

    def _hold(self, signs: set[CameraImpairment], now_ms: float) -> None:
        for sign in signs:
            self._since_ms.setdefault(sign, now_ms)
            self._last_ms[sign] = now_ms
        for sign in list(self._since_ms):
            if now_ms - self._last_ms[sign] >= (OVER_MS if sign in self.wrong else OVER_MS / 5):
                del self._since_ms[sign]
        held = {sign for sign, since_ms in self._since_ms.items() if now_ms - since_ms >= HOLD_MS[sign]}
        self.wrong = frozenset(held | (self.wrong & self._since_ms.keys()))


def _is_same(one: PictureTraits, other: PictureTraits) -> bool:
    off = np.abs(one.spots - other.spots)
    return float(off.mean()) < FROZEN_MEAN and int(off.max()) <= FROZEN_MOST


def _is_soft(traits: PictureTraits) -> bool:
    return traits.fine < BLURRED_FINE and traits.fine < BLURRED_RATIO * traits.middle


def _is_other_light(usual: _Usual, traits: PictureTraits) -> bool:
    """Return whether the camera went over to infrared light, or back: its edges are others, and it did not move."""
    return (usual.colour > COLOURED and traits.colour < GREY) or (usual.colour < GREY and traits.colour > COLOURED)
