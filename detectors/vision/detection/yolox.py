"""Reading the output of the YOLOX family (Ge et al. 2021, Apache-2.0): anchor-free, three strides.

Input: BGR 0–255 float32, letterbox in the top left corner, filled with 114. Output: 1 × A × (5 + classes), per cell of
the strides 8, 16 and 32: centre (p + cell)·stride, size exp(p)·stride, objectness and class scores after the sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from detectors.vision.detection.boxes import non_max_suppression
from detectors.vision.detection.decoder import Shape, check_scores, fits
from detectors.vision.detection.detections import Detections, Floats, Image, detections
from detectors.vision.detection.letterbox import Letterbox, letterbox

STRIDES = (8, 16, 32)
PAD = 114
IOU_THRESHOLD = 0.45
_REACH = 1.0  # a box may lie so many pictures outside, or be so much larger
_FAR_SHARE = 0.1
_MAX_LOG_SIZE = 10.0  # exp of more is no box, and overflows


def prepare(frame: Image, width: int, height: int) -> tuple[Floats, Letterbox]:
    """Return the input tensor (1, 3, height, width) and how the picture was fitted."""
    fitted, fit = letterbox(frame, width, height, pad=PAD, centre=False)
    return np.ascontiguousarray(fitted.transpose(2, 0, 1)[None], np.float32), fit


def check_outputs(shapes: Sequence[Shape], width: int, height: int, *, classes: int) -> None:
    """Raise unless there is one output, (1, A, 5 + classes), for an input of ``width`` × ``height``.

    Raises:
        ValueError: saying what was found and what was expected.
    """
    expected = (1, len(_grid(width, height)[0]), 5 + classes)
    if len(shapes) != 1 or not fits(shapes[0], expected):
        raise ValueError(
            f"outputs {list(shapes)}: expected one, {expected}: {classes} labels and 5 at {width}×{height}"
        )


def check_values(outputs: Sequence[Floats], width: int, height: int, *, classes: int) -> None:
    """Raise unless scores are scores, and boxes are offsets from their cells.

    Raises:
        ValueError: saying what was found and what was expected.
    """
    check_outputs([output.shape for output in outputs], width, height, classes=classes)
    raw = np.asarray(outputs[0][0], np.float32)
    check_scores(raw[:, 4:])
    if not np.isfinite(raw[:, :4]).all():
        raise ValueError("boxes are no finite numbers")
    cells, strides = _grid(width, height)
    centre = (raw[:, :2] + cells) * strides / np.asarray([width, height], np.float32)
    size = np.exp(np.minimum(raw[:, 2:4], _MAX_LOG_SIZE)) * strides / np.asarray([width, height], np.float32)
    far = ((centre < -_REACH) | (centre > 1 + _REACH)).any(axis=1) | (size > 1 + 2 * _REACH).any(axis=1)
    if far.mean() > _FAR_SHARE:
        raise ValueError(
            f"{far.mean():.0%} of its boxes lie far outside the picture: expected offsets from the cells, so export it "
            "without decoding its boxes"
        )


def decode(
    outputs: Sequence[Floats], width: int, height: int, fit: Letterbox, *, classes: int, min_score: float
) -> Detections:
    """Return the objects scored at least ``min_score``: boxes in the picture, without duplicates, best first.

    Raises:
        ValueError: when the tensor does not belong to such an input, or to so many classes.
    """
    check_outputs([output.shape for output in outputs], width, height, classes=classes)
    cells, strides = _grid(width, height)
    raw = outputs[0][0]
    class_id = raw[:, 5:].argmax(axis=1)
    score = raw[:, 4] * raw[np.arange(len(raw)), 5 + class_id]
    keep = score >= min_score  # also drops NaN
    raw, cells, strides = raw[keep], cells[keep], strides[keep]
    centre = (raw[:, :2] + cells) * strides
    half = np.exp(np.minimum(raw[:, 2:4], _MAX_LOG_SIZE)) * strides / 2
    boxes = fit.back(np.concatenate([centre - half, centre + half], axis=1).astype(np.float32))
    return non_max_suppression(detections(boxes, score[keep], class_id[keep]), IOU_THRESHOLD)


@lru_cache(maxsize=8)
def _grid(width: int, height: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return per cell its (x, y) index, (A, 2), and its stride, (A, 1), in the order of the output."""
    cells, strides = [], []
    for stride in STRIDES:
        columns, rows = width // stride, height // stride
        y, x = np.mgrid[0:rows, 0:columns]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
