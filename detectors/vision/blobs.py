"""Blobs: connected areas of motion, as arrays; what lies close together is one thing."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.frame_difference import MotionFrame
from detectors.vision.perspective import Floats

MIN_AREA_PX = 3
# More blobs than this are rain, a storm or a moved camera: the largest are kept, so that time per frame is bounded.
MAX_BLOBS = 120
# A walker's limbs and a tumbling box's lit sides are pieces of one thing; gaps grow with the picture.
JOIN_GAP_PART = 0.008

_CLOSE = np.ones((3, 3), np.uint8)


class Blobs(msgspec.Struct, frozen=True):
    """Blobs of one picture, arrays (N,) in px: centres ``x``, ``y``; ``width``, ``height``; ``area`` in px²."""

    at_ms: float
    x: Floats
    y: Floats
    width: Floats
    height: Floats
    area: Floats

    def __len__(self) -> int:
        return len(self.x)


def find_blobs(motion: MotionFrame) -> Blobs:
    """The blobs of ``motion``: at least ``MIN_AREA_PX``, neighbours joined, at most ``MAX_BLOBS``."""
    mask = cv2.morphologyEx(motion.mask, cv2.MORPH_CLOSE, _CLOSE)
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    area = stats[1:, cv2.CC_STAT_AREA]  # 0 is the still background
    keep = np.flatnonzero(area >= MIN_AREA_PX)
    if len(keep) > MAX_BLOBS:
        keep = keep[np.argsort(area[keep])[-MAX_BLOBS:]]
    left, top = stats[1:, cv2.CC_STAT_LEFT][keep], stats[1:, cv2.CC_STAT_TOP][keep]
    boxes = np.stack(
        [left, top, left + stats[1:, cv2.CC_STAT_WIDTH][keep], top + stats[1:, cv2.CC_STAT_HEIGHT][keep]]
    ).astype(np.float64)
    gap = max(2.0, JOIN_GAP_PART * motion.mask.shape[0])
    return _joined(motion.at_ms, boxes, np.asarray(centres[1:][keep], np.float64), area[keep].astype(np.float64), gap)


def _joined(at_ms: float, boxes: Floats, centres: Floats, area: Floats, gap_px: float) -> Blobs:
    """Blobs whose boxes (4, N) lie within ``gap_px`` of each other, as one each."""
    group = _groups(boxes, gap_px)
    count = int(group.max()) + 1 if len(group) else 0
    total = np.bincount(group, area, count).astype(np.float64)
    edges = np.empty((4, count))
    for row, (start, extreme) in enumerate([(np.inf, np.minimum)] * 2 + [(-np.inf, np.maximum)] * 2):
        edges[row] = start
        extreme.at(edges[row], group, boxes[row])
    return Blobs(
        at_ms,
        np.bincount(group, area * centres[:, 0], count) / total,
        np.bincount(group, area * centres[:, 1], count) / total,
        edges[2] - edges[0],
        edges[3] - edges[1],
        total,
    )


def _groups(boxes: Floats, gap_px: float) -> npt.NDArray[np.intp]:
    """The group (N,) of each box: boxes within ``gap_px`` of each other, directly or through others, share one."""
    left, top, right, bottom = boxes
    apart_x = np.maximum(left[:, None], left[None, :]) - np.minimum(right[:, None], right[None, :])
    apart_y = np.maximum(top[:, None], top[None, :]) - np.minimum(bottom[:, None], bottom[None, :])
    near = (apart_x <= gap_px) & (apart_y <= gap_px)
    label = np.arange(len(left))
    while True:
        # every box takes the smallest label it can reach in one step, until nothing changes
        lower = np.where(near, label[None, :], len(label)).min(axis=1) if len(label) else label
        if np.array_equal(lower, label):
            break
        label = lower
    return np.unique(label, return_inverse=True)[1].astype(np.intp)
