"""Blobs: connected areas of motion, as arrays; what lies close together is one thing."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.falling.frame_difference import CELL_PX, MotionFrame
from detectors.vision.geometry.perspective import Floats

MIN_AREA_PX = 3
# More blobs than this are rain, a storm or a moved camera: the largest are kept, so that time per frame is bounded.
MAX_BLOBS = 120
# A walker's limbs and a tumbling box's lit sides are pieces of one thing; gaps grow with the picture.
JOIN_GAP_PART = 0.008

Indices: TypeAlias = npt.NDArray[np.intp]


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
    """Return the blobs of ``motion``: at least ``MIN_AREA_PX``, neighbours joined, at most ``MAX_BLOBS``."""
    # connected on the coarse grid of cells (fifteen times faster), measured on the pixels
    _, labels = cv2.connectedComponents((motion.cells > 0).astype(np.uint8), connectivity=8)
    x, y = _places(motion.mask)
    label = np.asarray(labels, np.intp)[y // CELL_PX, x // CELL_PX]
    area = np.bincount(label)
    keep = np.flatnonzero(area >= MIN_AREA_PX)
    if len(keep) > MAX_BLOBS:
        keep = keep[np.argsort(area[keep])[-MAX_BLOBS:]]
    boxes = _boxes(label, x, y, len(area))[:, keep]
    centres = np.stack([np.bincount(label, x)[keep], np.bincount(label, y)[keep]], axis=1) / area[keep, None]
    gap = max(2.0, JOIN_GAP_PART * motion.mask.shape[0])
    return _joined(motion.at_ms, boxes, centres, area[keep].astype(np.float64), gap)


def _places(mask: npt.NDArray[np.uint8]) -> tuple[Indices, Indices]:
    """Return columns and rows (N,) of the pixels that are not 0."""
    if not cv2.hasNonZero(mask):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    places = np.asarray(cv2.findNonZero(mask), np.intp).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def _boxes(label: Indices, x: Indices | Floats, y: Indices | Floats, count: int) -> Floats:
    """Return left, top, right, bottom (4, N) of each label's pixels."""
    edges = np.empty((4, count))
    edges[:2], edges[2:] = np.inf, -np.inf
    np.minimum.at(edges[0], label, x)
    np.minimum.at(edges[1], label, y)
    np.maximum.at(edges[2], label, x + 1)
    np.maximum.at(edges[3], label, y + 1)
    return edges


def _joined(at_ms: float, boxes: Floats, centres: Floats, area: Floats, gap_px: float) -> Blobs:
    """Return blobs whose boxes (4, N) lie within ``gap_px`` of each other, as one each."""
    group = _groups(boxes, gap_px)
    count = int(group.max()) + 1 if len(group) else 0
    total = np.bincount(group, area, count).astype(np.float64)
    left, top, right, bottom = boxes
    low, high = _boxes(group, left, top, count), _boxes(group, right - 1, bottom - 1, count)
    return Blobs(
        at_ms,
        np.bincount(group, area * centres[:, 0], count) / total,
        np.bincount(group, area * centres[:, 1], count) / total,
        high[2] - low[0],
        high[3] - low[1],
        total,
    )


def _groups(boxes: Floats, gap_px: float) -> npt.NDArray[np.intp]:
    """Return each box's group (N,): boxes within ``gap_px`` of each other, directly or through others, share one."""
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
