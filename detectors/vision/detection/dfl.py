"""Reading the output of PicoDet and NanoDet: boxes as distributions (Li et al. 2020, generalised focal loss).

Input: BGR, normalised by mean and deviation, letterbox in the centre, filled with 0. Output: per stride a score map
(n, classes) after the sigmoid and a box map (n, 4 × bins): the softmax's mean of each side times the stride is its
distance from the cell's centre.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.vision.detection.boxes import suppress
from detectors.vision.detection.detections import Detections, Floats, Image, detections
from detectors.vision.detection.letterbox import Letterbox, letterbox

MEAN = np.asarray([103.53, 116.28, 123.675], np.float32)
DEVIATION = np.asarray([57.375, 57.12, 58.395], np.float32)
OVERLAP = 0.5
_SMALLEST_STRIDE = 8


def prepare(frame: Image, width: int, height: int) -> tuple[Floats, Letterbox]:
    """The input tensor (1, 3, height, width) and how the picture was fitted."""
    fitted, fit = letterbox(frame, width, height, pad=0, centre=True)
    normal = (fitted.astype(np.float32) - MEAN) / DEVIATION
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32), fit


def decode(
    outputs: Sequence[Floats], width: int, height: int, fit: Letterbox, *, classes: int, min_score: float
) -> Detections:
    """The objects in ``outputs``: score maps are those ``classes`` wide; each kind from the finest stride on.

    Raises:
        ValueError: when the maps do not belong to an input of ``width`` × ``height``.
    """
    maps = [np.asarray(output).reshape(-1, output.shape[-1]) for output in outputs]
    score_maps = [one for one in maps if one.shape[1] == classes]
    box_maps = [one for one in maps if one.shape[1] != classes]
    if not score_maps or len(score_maps) != len(box_maps):
        raise ValueError(
            f"output widths {[m.shape[1] for m in maps]}: expected as many maps of {classes} as of 4 × bins"
        )
    boxes, scores, labels = [], [], []
    for level, (score_map, box_map) in enumerate(zip(score_maps, box_maps, strict=True)):
        stride = _SMALLEST_STRIDE << level
        found = _decode_level(score_map, box_map, stride, -(-width // stride), -(-height // stride), min_score)
        boxes.append(found[0])
        scores.append(found[1])
        labels.append(found[2])
    every = detections(fit.back(np.concatenate(boxes)), np.concatenate(scores), np.concatenate(labels))
    return suppress(every, OVERLAP)


def _decode_level(
    score_map: Floats, box_map: Floats, stride: int, columns: int, rows: int, min_score: float
) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    if len(score_map) != rows * columns or len(box_map) != rows * columns or box_map.shape[1] % 4:
        raise ValueError(
            f"maps {score_map.shape} and {box_map.shape}: expected {rows * columns} cells at stride {stride}"
        )
    class_id = score_map.argmax(axis=1)
    score = score_map.max(axis=1)
    keep = np.flatnonzero(score >= min_score)
    sides = box_map[keep].reshape(len(keep), 4, box_map.shape[1] // 4)
    weight = np.exp(sides - sides.max(axis=2, keepdims=True))
    distance = (weight / weight.sum(axis=2, keepdims=True)) @ np.arange(sides.shape[2], dtype=np.float32) * stride
    centre = (np.stack([keep % columns, keep // columns], axis=1) + 0.5) * stride - 0.5
    boxes = np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1)
    return boxes.astype(np.float32), score[keep], class_id[keep]
