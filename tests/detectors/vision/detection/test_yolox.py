from __future__ import annotations

import numpy as np
import pytest

from detectors.vision.detection import yolox
from detectors.vision.detection.detections import Detections, Floats
from detectors.vision.detection.letterbox import Letterbox

SIZE = 64


def empty_output(classes: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The output of a YOLOX of 64×64 that sees nothing: 64 + 16 + 4 cells."""
    return np.zeros((1, 84, 5 + classes), np.float32)


def fit(width: int = SIZE, height: int = SIZE) -> Letterbox:
    return yolox.prepare(np.zeros((height, width, 3), np.uint8), SIZE, SIZE)[1]


def decode(output: Floats, way: Letterbox | None = None) -> Detections:
    return yolox.decode([output], SIZE, SIZE, way or fit(), classes=3, min_score=0.3)


def test_boxes_come_back_in_the_picture_and_are_cut_to_it() -> None:
    output = empty_output()
    output[0, 80] = [0, 0, 1, 1, 1, 1, 0, 0]  # stride 32, cell (0, 0), e strides wide
    found = decode(output, fit(width=128, height=96))
    assert found.xyxy[0].tolist() == pytest.approx([0, 0, 32 * np.e, 32 * np.e], rel=1e-5)


def test_one_object_seen_by_two_cells_is_found_once() -> None:
    output = empty_output()
    output[0, 64 + 1 * 4 + 2] = [0.5, 0.25, np.log(2), np.log(1.5), 0.9, 0.1, 0.8, 0.3]
    output[0, 64 + 1 * 4 + 3] = [-0.5, 0.25, np.log(2), np.log(1.5), 0.8, 0.1, 0.8, 0.3]
    assert decode(output).score.tolist() == pytest.approx([0.72])


def test_nothing_comes_of_nan_infinity_and_an_empty_picture() -> None:
    output = empty_output()
    output[0, 0] = np.nan
    output[0, 1] = [0, 0, np.inf, 1e9, 1, 1, 0, 0]
    found = decode(output)
    assert len(found) == 1
    assert np.isfinite(found.xyxy).all()
    assert len(decode(empty_output())) == 0
