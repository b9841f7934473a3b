"""What cameras see when all is well, though it looks like a fault: one picture changed over time, and its noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt

from detectors.vision.detection.detections import Image

LOOK_MS = 500
_NOISE = [np.random.default_rng(n).normal(0, 1, (360, 640, 1)).astype(np.float32) for n in range(13)]
Change = Callable[[Image, int], npt.NDArray[np.float32]]


def _seen(change: Change, deviation: float) -> Callable[[Image, int], Iterator[Image]]:
    def pictures(picture: Image, looks: int) -> Iterator[Image]:
        for n in range(looks):
            shown = change(picture, n * LOOK_MS) + deviation * _NOISE[n * 5 % 13]
            yield np.clip(shown, 0, 255).astype(np.uint8)

    return pictures


def _at_night(picture: Image, _: int = 0) -> npt.NDArray[np.float32]:
    return np.asarray(0.25 * cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32), np.float32)


def _by_day(picture: Image, _: int = 0) -> npt.NDArray[np.float32]:
    return picture.astype(np.float32)


def _lamp_goes(picture: Image, at_ms: int) -> npt.NDArray[np.float32]:
    return _by_day(picture) if at_ms // 45_000 % 2 else _at_night(picture)


def _headlights(picture: Image, at_ms: int) -> npt.NDArray[np.float32]:
    """A car each 25 s: for 6 s its light comes nearer and blinds most of the picture."""
    near = at_ms % 25_000 / 6_000
    if near > 1:
        return _at_night(picture)
    rows, columns = np.mgrid[:360, :640].astype(np.float32)
    away = np.hypot(rows - 200, columns - (100 + 440 * near))
    return np.asarray(_at_night(picture) + 400 * np.exp(-away / (20 + 160 * near))[..., None], np.float32)


def _parked(picture: Image, at_ms: int) -> npt.NDArray[np.float32]:
    shown = picture.copy()
    if at_ms > 60_000:
        shown[150:340, 120:470] = (70, 60, 150)
        shown[160:220, 180:410] = (90, 80, 60)
    return _by_day(shown)


def _rain(picture: Image, at_ms: int) -> npt.NDArray[np.float32]:
    shown, drops = (picture * 0.7 + 40).astype(np.uint8), np.random.default_rng(at_ms)
    for x, y in drops.integers((0, 0), (640, 360), (250, 2)).tolist():
        cv2.line(shown, (x, y), (x + 2, y + 14), (200, 200, 200), 1)
    return _by_day(shown)


def _dusk(picture: Image, at_ms: int) -> npt.NDArray[np.float32]:
    return np.float32(max(1.0 - at_ms / 700_000, 0.15)) * _by_day(picture)


def _shadow(picture: Image, at_ms: int) -> npt.NDArray[np.float32]:
    """The shadow of a house goes over the place, 60 px in ten minutes."""
    shown = _by_day(picture)
    shown[:, : 200 + at_ms // 10_000] *= np.float32(0.5)
    return shown


def _under_the_sky(picture: Image, _: int) -> npt.NDArray[np.float32]:
    shown = _by_day(picture)
    shown[:150] = 236 + np.linspace(0, 4, 150, dtype=np.float32)[:, None, None]
    return shown


def _person_passes(picture: Image, at_ms: int) -> npt.NDArray[np.float32]:
    shown = picture.copy()
    x = at_ms // 40 % 2_000
    shown[120:260, max(x - 40, 0) : x] = (40, 60, 50)
    return _at_night(shown)


def _coded(picture: Image, looks: int) -> Iterator[Image]:
    """A still place at night as a camera codes it: a key frame each 5 s, and between them nearly nothing."""
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt, coder.framerate = 640, 360, "yuv420p", Fraction(10)
    coder.options = {"crf": "28", "g": "50", "preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0"}
    coder.thread_count = 1
    decoder = av.CodecContext.create("h264", "r")
    for n in range(looks * 5):
        shown = np.clip(_at_night(picture) + 1.5 * _NOISE[n * 7 % 13], 0, 255).astype(np.uint8)
        for packet in coder.encode(av.VideoFrame.from_ndarray(shown, format="bgr24")):
            for frame in decoder.decode(packet):
                if n % 5 == 0:
                    yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


QUIET: dict[str, Callable[[Image, int], Iterator[Image]]] = {
    "a night, nothing moves": _seen(_at_night, 0.8),
    "a night, much noise": _seen(_at_night, 6.0),
    "a night, a person now and then": _seen(_person_passes, 0.8),
    "light on and off": _seen(_lamp_goes, 1.5),
    "headlights": _seen(_headlights, 1.5),
    "a car parks": _seen(_parked, 1.5),
    "rain": _seen(_rain, 1.5),
    "dusk": _seen(_dusk, 1.5),
    "a shadow": _seen(_shadow, 1.0),
    "much sky": _seen(_under_the_sky, 1.0),
    "a night as it is coded": _coded,
}
"""name → what it makes of a picture of 640×360, for so many looks, one each ``LOOK_MS``."""
