from __future__ import annotations

import numpy as np
import pytest

from detectors.vision.detection.boxes import iou, non_max_suppression
from detectors.vision.detection.detections import detections
from detectors.vision.detection.letterbox import letterbox


def test_duplicates_are_suppressed_per_class() -> None:
    box = (10, 10, 30, 30)
    found = non_max_suppression(
        detections([box, (11, 10, 31, 30), box, (60, 60, 90, 90)], [0.8, 0.9, 0.7, 0.6], [0, 0, 1, 0]), 0.45
    )
    assert [(round(float(s), 1), int(c)) for s, c in zip(found.score, found.class_id, strict=True)] == [
        (0.9, 0),
        (0.7, 1),
        (0.6, 0),
    ]


def test_iou_of_known_boxes() -> None:
    a = np.asarray([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    b = np.asarray([[5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert iou(a, b) == pytest.approx(np.asarray([[1 / 3, 0], [0, 0]]))


def test_letterbox_keeps_the_shape_and_goes_back() -> None:
    picture = np.full((50, 100, 3), 200, np.uint8)
    fitted, way = letterbox(picture, 64, 64, pad=114, centre=True)
    assert fitted.shape == (64, 64, 3)
    assert (fitted[:16] == 114).all()
    assert (fitted[16:48] == 200).all()
    back = way.back(np.asarray([[0, 16, 64, 48]], np.float32))
    assert back[0].tolist() == pytest.approx([0, 0, 100, 50])
