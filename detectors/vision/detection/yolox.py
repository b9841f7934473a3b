"""Reading the output of the YOLOX family (Ge et al. 2021, Apache-2.0): anchor-free, three strides.

Input: BGR 0–255 float32, letterbox in the top left corner, filled with 114. Output: 1 × A × (5 + classes), per cell of
the strides 8, 16 and 32: centre (p + cell)·stride, size exp(p)·stride, objectness and class scores after the sigmoid.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from detectors.vision.detection.boxes import suppress
from detectors.vision.detection.detections import Detections, Floats, Image, detections
from detectors.vision.detection.letterbox import Letterbox, letterbox

STRIDES = (8, 16, 32)
PAD = 114
OVERLAP = 0.45
_MAX_LOG_SIZE = 10.0  # exp of more is no box, and overflows


def prepare(frame: Image, width: int, height: int) -> tuple[Floats, Letterbox]:
    """The input tensor (1, 3, height, width) and how the picture was fitted."""
    fitted, fit = letterbox(frame, width, height, pad=PAD, centre=False)
    return np.ascontiguousarray(fitted.transpose(2, 0, 1)[None], np.float32), fit


def decode(output: Floats, width: int, height: int, fit: Letterbox, *, min_score: float) -> Detections:
    """The objects in ``output``, (1, A, 5 + classes), scored at least ``min_score``, without doubles, best first.

    Raises:
        ValueError: when the tensor does not belong to an input of ``width`` × ``height``.
    """
    cells, strides = _grid(width, height)
    if output.ndim != 3 or output.shape[1] != len(cells) or output.shape[2] < 6:
        raise ValueError(f"YOLOX output {output.shape}: expected (1, {len(cells)}, 5 + classes) at {width}×{height}")
    raw = output[0]
    class_id = raw[:, 5:].argmax(axis=1)
    score = raw[:, 4] * raw[np.arange(len(raw)), 5 + class_id]
    keep = score >= min_score  # also drops NaN
    raw, cells, strides = raw[keep], cells[keep], strides[keep]
    centre = (raw[:, :2] + cells) * strides
    half = np.exp(np.minimum(raw[:, 2:4], _MAX_LOG_SIZE)) * strides / 2
    boxes = fit.back(np.concatenate([centre - half, centre + half], axis=1).astype(np.float32))
    return suppress(detections(boxes, score[keep], class_id[keep]), OVERLAP)


@lru_cache(maxsize=8)
def _grid(width: int, height: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Per cell its (x, y) index, (A, 2), and its stride, (A, 1), in the order of the output."""
    cells, strides = [], []
    for stride in STRIDES:
        columns, rows = width // stride, height // stride
        y, x = np.mgrid[0:rows, 0:columns]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
