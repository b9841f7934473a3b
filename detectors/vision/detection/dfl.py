"""Reading the output of PicoDet and NanoDet: boxes as distributions (Li et al. 2020, generalised focal loss).

Input: BGR, normalised by mean and deviation, letterbox in the centre, filled with 0. Output: per stride a score map
(n, classes) after the sigmoid and a box map (n, 4 × bins): the softmax's mean of each side times the stride is its
distance from the cell's centre.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from detectors.vision.detection.boxes import non_max_suppression
from detectors.vision.detection.decoder import Shape, check_scores
from detectors.vision.detection.detections import Detections, Floats, Image, detections
from detectors.vision.detection.letterbox import Letterbox, letterbox

MEAN = np.asarray([103.53, 116.28, 123.675], np.float32)
DEVIATION = np.asarray([57.375, 57.12, 58.395], np.float32)
IOU_THRESHOLD = 0.5
_SMALLEST_STRIDE = 8


def prepare(frame: Image, width: int, height: int) -> tuple[Floats, Letterbox]:
    """Return the input tensor (1, 3, height, width) and how the picture was fitted."""
    fitted, fit = letterbox(frame, width, height, pad=0, centre=True)
    normal = (fitted.astype(np.float32) - MEAN) / DEVIATION
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32), fit


def check_outputs(shapes: Sequence[Shape], width: int, height: int, *, classes: int) -> None:
    """Raise unless there are as many score maps as box maps, a pair a stride, for an input of ``width`` × ``height``.

    Raises:
        ValueError: saying what was found and what was expected.
    """
    widths = [shape[-1] if shape else 0 for shape in shapes]
    if None in widths:
        return  # which is which shows when it runs
    score_maps = [shape for shape in shapes if shape[-1] == classes]
    box_maps = [shape for shape in shapes if shape[-1] != classes]
    if not score_maps or len(score_maps) != len(box_maps):
        raise ValueError(f"output widths {widths}: expected as many maps of {classes} (labels) as of 4 × bins")
    for (stride, columns, rows), score_map, box_map in zip(_levels(width, height), score_maps, box_maps, strict=False):
        if {_cells_of(score_map), _cells_of(box_map)} - {None, columns * rows} or (box_map[-1] or 0) % 4:
            raise ValueError(
                f"maps {score_map} and {box_map}: expected {columns * rows} cells at stride {stride}, "
                f"{classes} and 4 × bins wide"
            )


def check_values(outputs: Sequence[Floats], width: int, height: int, *, classes: int) -> None:
    """Raise unless scores are scores, and the maps of the sides are finite.

    Raises:
        ValueError: saying what was found and what was expected.
    """
    check_outputs([output.shape for output in outputs], width, height, classes=classes)
    for output in outputs:
        if output.shape[-1] == classes:
            check_scores(np.asarray(output, np.float32))
        elif not np.isfinite(output).all():
            raise ValueError("boxes are no finite numbers")


def decode(
    outputs: Sequence[Floats], width: int, height: int, fit: Letterbox, *, classes: int, min_score: float
) -> Detections:
    """Return the objects scored at least ``min_score``: boxes in the picture, without duplicates, best first.

    Score maps are those ``classes`` wide; each kind of map comes from the finest stride on.

    Raises:
        ValueError: when the maps do not belong to such an input, or to so many classes.
    """
    check_outputs([output.shape for output in outputs], width, height, classes=classes)
    maps = [np.asarray(output).reshape(-1, output.shape[-1]) for output in outputs]
    score_maps = [one for one in maps if one.shape[1] == classes]
    box_maps = [one for one in maps if one.shape[1] != classes]
    boxes, scores, labels = [], [], []
    for (stride, columns, _), score_map, box_map in zip(_levels(width, height), score_maps, box_maps, strict=False):
        found = _decode_level(score_map, box_map, stride, columns, min_score)
        boxes.append(found[0])
        scores.append(found[1])
        labels.append(found[2])
    every = detections(fit.back(np.concatenate(boxes)), np.concatenate(scores), np.concatenate(labels))
    return non_max_suppression(every, IOU_THRESHOLD)


def _levels(width: int, height: int) -> Iterator[tuple[int, int, int]]:
    """Yield each stride with its columns and rows, without end."""
    for level in itertools.count():
        stride = _SMALLEST_STRIDE << level
        yield stride, -(-width // stride), -(-height // stride)


def _cells_of(shape: Shape) -> int | None:
    known = [size for size in shape[:-1] if size is not None]
    return math.prod(known) if len(known) == len(shape) - 1 else None


def _decode_level(
    score_map: Floats, box_map: Floats, stride: int, columns: int, min_score: float
) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    class_id = score_map.argmax(axis=1)
    score = score_map.max(axis=1)
    keep = np.flatnonzero(score >= min_score)
    sides = box_map[keep].reshape(len(keep), 4, box_map.shape[1] // 4)
    weight = np.exp(sides - sides.max(axis=2, keepdims=True))
    distance = (weight / weight.sum(axis=2, keepdims=True)) @ np.arange(sides.shape[2], dtype=np.float32) * stride
    centre = (np.stack([keep % columns, keep // columns], axis=1) + 0.5) * stride - 0.5
    boxes = np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1)
    return boxes.astype(np.float32), score[keep], class_id[keep]
