"""What nobody may see on a picture that is kept: masked parts, and people who are not what it is about.

See docs/requirements.md#p8.

Applied before a picture enters the ring of recent frames, so that no later step can forget it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from detectors.vision.detection.detections import Floats, Image
from detectors.vision.geometry.shapes import Mask, polygon_px

_BLOCKS = 6  # a person is at most so many blocks wide: no face survives
_MARGIN = 0.12  # people move between two looks of the detector
_MASK_BGR = (48, 48, 48)


def redacted(frame: Image, masks: Sequence[Mask], people_xyxy: Floats, keep_xyxy: Floats) -> Image:
    """Return a copy of ``frame`` with ``masks`` painted over and people pixelated.

    Args:
        frame: uint8 (H, W, 3) BGR; unchanged.
        people_xyxy: (N, 4) px, who must not be recognised.
        keep_xyxy: (M, 4) px, vehicles the picture is about: people are pixelated around, not over them.
    """
    shown = frame.copy()
    for box in people_xyxy:
        _pixelate(shown, box)
    for box in keep_xyxy:
        left, top, right, bottom = _bounds(box, frame, 0.0)
        _restore_below_heads(shown, frame, people_xyxy, (left, top, right, bottom))
    height, width = frame.shape[:2]
    for mask in masks:
        cv2.fillPoly(shown, [polygon_px(mask.polygon, width, height)], _MASK_BGR)
    return shown


def _restore_below_heads(shown: Image, frame: Image, people_xyxy: Floats, box: tuple[int, int, int, int]) -> None:
    """Show the vehicle again, but no part of it that lies in the upper half of a person: that is where faces are."""
    left, top, right, bottom = box
    shown[top:bottom, left:right] = frame[top:bottom, left:right]
    for person in people_xyxy:
        upper = np.asarray([person[0], person[1], person[2], (person[1] + person[3]) / 2], np.float32)
        _pixelate(shown, upper)


def _pixelate(image: Image, box_xyxy: Floats) -> None:
    left, top, right, bottom = _bounds(box_xyxy, image, _MARGIN)
    if right - left < 2 or bottom - top < 2:
        return
    part = image[top:bottom, left:right]
    blocks = (_BLOCKS, max(1, round(_BLOCKS * part.shape[0] / part.shape[1])))
    coarse = cv2.resize(part, blocks, interpolation=cv2.INTER_AREA)
    image[top:bottom, left:right] = cv2.resize(coarse, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _bounds(box_xyxy: Floats, image: Image, margin: float) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    left, top, right, bottom = (float(v) for v in box_xyxy)
    extra_x, extra_y = (right - left) * margin, (bottom - top) * margin
    return (
        int(np.clip(left - extra_x, 0, width)),
        int(np.clip(top - extra_y, 0, height)),
        int(np.clip(right + extra_x + 1, 0, width)),
        int(np.clip(bottom + extra_y + 1, 0, height)),
    )
