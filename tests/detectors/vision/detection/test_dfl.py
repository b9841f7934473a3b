from __future__ import annotations

import numpy as np
import pytest

from detectors.vision.detection import dfl
from tests.detectors.vision.detection.families import CLASSES, SIZE, of_distributions


def test_one_object_seen_by_two_cells_is_found_once() -> None:
    made = of_distributions(levels=3)
    bins = np.full((4, 8), -50, np.float32)  # cell (3, 1): 2, 0.5, 0.5 and 1 strides to the sides of the same box
    bins[0, 2] = bins[1, 0] = bins[1, 1] = bins[2, 0] = bins[2, 1] = bins[3, 1] = 50
    made.outputs[1][0, 1 * 4 + 3] = [0.1, 0.7, 0.3]
    made.outputs[4][0, 1 * 4 + 3] = bins.reshape(-1)
    _, fit = dfl.prepare(np.zeros((SIZE, SIZE, 3), np.uint8), SIZE, SIZE)
    found = dfl.decode(made.outputs, SIZE, SIZE, fit, classes=CLASSES, min_score=0.5)
    assert found.score.tolist() == pytest.approx([made.score])
