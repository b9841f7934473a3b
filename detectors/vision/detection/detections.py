"""Detections: a struct of arrays, one row per object."""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

NO_TRACK = -1


class Detections(msgspec.Struct, frozen=True):
    """N objects in one picture.

    ``xyxy``: (N, 4) float32, pixels of the picture, left top right bottom. ``score``: (N,) float32, 0–1. ``class_id``:
    (N,) int64, the model's class number. ``track_id``: (N,) int64, ``NO_TRACK`` before tracking.
    """

    xyxy: Floats
    score: Floats
    class_id: Ints
    track_id: Ints

    def __len__(self) -> int:
        return len(self.score)

    def where(self, keep: npt.NDArray[np.bool_] | Ints) -> Detections:
        """Return the rows that ``keep`` selects, a mask or indices."""
        return Detections(self.xyxy[keep], self.score[keep], self.class_id[keep], self.track_id[keep])


class Detector(Protocol):
    """Finds objects in a picture."""

    def detect(self, frame: Image) -> Detections:
        """Detect the objects in ``frame``; untracked."""
        ...


def detections(xyxy: npt.ArrayLike, score: npt.ArrayLike, class_id: npt.ArrayLike) -> Detections:
    """Return untracked detections from anything array-like; empty lists are fine.

    Raises:
        ValueError: when the lengths differ.
    """
    boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
    scores, classes = np.asarray(score, np.float32).reshape(-1), np.asarray(class_id, np.int64).reshape(-1)
    if not len(boxes) == len(scores) == len(classes):
        raise ValueError(
            f"{len(boxes)} boxes, {len(scores)} scores and {len(classes)} classes: expected as many of each"
        )
    return Detections(boxes, scores, classes, np.full(len(boxes), NO_TRACK, np.int64))
