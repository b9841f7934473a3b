"""Still and clip of an observation, cut from a camera's ring the moment it is made: the clip begins before it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import msgspec
import numpy as np

from detectors.vision.detection.detections import Image
from detectors.vision.geometry.picture_size import size_of
from edge.capture.ring import FrameRing, Snapshot, decode_jpeg
from edge.capture.video import CLIP_MIME, encode_clip

BEFORE_MS = 4_000
CALM_INTERVAL_MS = 190  # five frames/s where nothing happens yet: encoding is what delays the event
CLOSE_MS = 500  # before the beginning, from where on every frame counts
STILL_MIME = "image/jpeg"


class EvidenceCut(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of evidence and the time it shows."""

    kind: str
    mime: str
    data: bytes
    from_ms: int
    to_ms: int


def cut(ring: FrameRing, started_ms: int, at_ms: int, *, light: bool = False) -> list[EvidenceCut]:
    """Return the still at ``at_ms`` and the clip from well before ``started_ms`` to ``at_ms``; empty when the ring is.

    What leads up to the beginning has five frames a second, the rest every frame there is. ``light``: the clip has
    half the size and five frames a second throughout, a tenth of the work; the still is as it is.
    """
    still = ring.nearest(at_ms)
    if still is None:
        return []
    frames = ring.between(started_ms - BEFORE_MS, at_ms) or [still]
    frames = thinned(frames, at_ms if light else started_ms - CLOSE_MS)
    return [
        EvidenceCut(kind="still", mime=STILL_MIME, data=still.jpeg, from_ms=still.at_ms, to_ms=still.at_ms),
        EvidenceCut(
            kind="clip",
            mime=CLIP_MIME,
            data=encode_clip(_decoded(frames, half=light)),
            from_ms=frames[0].at_ms,
            to_ms=frames[-1].at_ms,
        ),
    ]


def thinned(frames: list[Snapshot], until_ms: int) -> list[Snapshot]:
    """Return the frames, those before ``until_ms`` at least ``CALM_INTERVAL_MS`` apart, counted back from it."""
    kept: list[Snapshot] = []
    for frame in reversed(frames):
        if frame.at_ms >= until_ms or not kept or kept[-1].at_ms - frame.at_ms >= CALM_INTERVAL_MS:
            kept.append(frame)
    return kept[::-1]


def _decoded(frames: list[Snapshot], *, half: bool) -> Iterator[tuple[int, Image]]:
    """Yield (ms since the first, picture), all of the size of the last: a stream may change its size meanwhile."""
    size = size_of(decode_jpeg(frames[-1].jpeg, half=half))
    for frame in frames:
        image = decode_jpeg(frame.jpeg, half=half)
        if size_of(image) != size:
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield frame.at_ms - frames[0].at_ms, image
