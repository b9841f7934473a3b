"""Fitting a picture of any shape into a model's input without distorting it, and the way back."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np

from detectors.vision.detection.boxes import clipped
from detectors.vision.detection.detections import Floats, Image


class Letterbox(msgspec.Struct, frozen=True):
    """How a picture was fitted: input = picture × ``scale`` + (``left_px``, ``top_px``)."""

    scale: float
    left_px: int
    top_px: int
    width_px: int  # of the picture
    height_px: int

    def back(self, xyxy: Floats) -> Floats:
        """Return boxes of the input as boxes of the picture, cut to it: (N, 4)."""
        shift = np.asarray([self.left_px, self.top_px, self.left_px, self.top_px], np.float32)
        return clipped((xyxy - shift) / np.float32(self.scale), self.width_px, self.height_px)


def letterbox(frame: Image, width: int, height: int, *, pad: int, centre: bool) -> tuple[Image, Letterbox]:
    """Fit ``frame`` into ``height`` × ``width``, the rest filled with ``pad``; in the corner or the centre."""
    frame_height, frame_width = frame.shape[:2]
    scale = min(width / frame_width, height / frame_height)
    new_width, new_height = max(1, int(frame_width * scale)), max(1, int(frame_height * scale))
    left, top = ((width - new_width) // 2, (height - new_height) // 2) if centre else (0, 0)
    fitted = np.full((height, width, 3), pad, np.uint8)
    fitted[top : top + new_height, left : left + new_width] = cv2.resize(frame, (new_width, new_height))
    return fitted, Letterbox(scale, left, top, frame_width, frame_height)
