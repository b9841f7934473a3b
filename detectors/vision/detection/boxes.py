"""Arithmetic on boxes: overlap, suppression of duplicates, anchor points. All boxes are (N, 4) xyxy, float."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.vision.detection.detections import Detections, Floats

_CLASS_GAP_PX = 16_384.0  # moves classes apart, so that one pass suppresses each by itself


def iou(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """Return intersection over union of each box of ``a`` with each of ``b``: (len(a), len(b)), 0–1."""
    top_left = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    bottom_right = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    union = area(a_xyxy)[:, None] + area(b_xyxy)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def area(xyxy: Floats) -> Floats:
    """Return (N,) areas; a box turned inside out has none."""
    return np.asarray(np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None).prod(axis=1), np.float32)


def non_max_suppression(found: Detections, iou_threshold: float, limit: int = 300) -> Detections:
    """Return ``found`` without boxes of a class that overlap a better one more than ``iou_threshold``; best first.

    A box or a score that is no finite number is left out: it would be sent on, and would hide every box after it.
    """
    found = found.where(np.isfinite(found.xyxy).all(axis=1) & np.isfinite(found.score))
    best_first = np.argsort(-found.score, kind="stable")[: limit * 10]
    found = found.where(best_first)
    apart = found.xyxy + (found.class_id * _CLASS_GAP_PX)[:, None].astype(np.float32)
    kept: list[int] = []
    for i in range(len(found)):
        if len(kept) == limit:
            break
        if not kept or iou(apart[i : i + 1], apart[kept]).max() <= iou_threshold:
            kept.append(i)
    return found.where(np.asarray(kept, np.int64))


def anchors(xyxy: Floats, *, foot: bool) -> npt.NDArray[np.float64]:
    """Return (N, 2) points that stand for the boxes: the middle of the lower edge, or the centre."""
    x = (xyxy[:, 0] + xyxy[:, 2]) / 2
    y = xyxy[:, 3] if foot else (xyxy[:, 1] + xyxy[:, 3]) / 2
    return np.stack([x, y], axis=1).astype(np.float64)


def clipped(xyxy: Floats, width: int, height: int) -> Floats:
    """Return the boxes cut to a picture of ``width`` × ``height``."""
    limits = np.asarray([width, height, width, height], np.float32)
    return np.asarray(np.clip(xyxy, 0, limits), np.float32)
