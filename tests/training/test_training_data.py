"""Training data is prepared as the edge box prepares its pictures, and its boxes follow every variation."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from detectors.vision.detection import yolox
from simulator.scenes.catalogue import make_scene
from training.dataset import Sample, fitted, samples_of, varied
from training.labels import HEIGHT, LABELS, PAD, WIDTH


def test_training_fits_pictures_into_the_input_as_the_edge_box_does() -> None:
    frame = make_scene("lift", 1, 10).render(0)
    image, scale = fitted(frame)
    tensor, fit = yolox.prepare(frame, WIDTH, HEIGHT)
    assert np.array_equal(tensor[0].transpose(1, 2, 0), image.astype(np.float32))
    assert scale == fit.scale
    assert (fit.left_px, fit.top_px) == (0, 0)


def test_samples_carry_boxes_in_px_of_the_input() -> None:
    samples = samples_of(make_scene("lobby", 2, 30), 6)
    rows = np.concatenate([sample.rows for sample in samples])
    assert len(samples) == 6 and len(rows) > 0
    assert set(rows[:, 0].astype(int)) <= set(range(len(LABELS)))
    assert (rows[:, 1] < rows[:, 3]).all() and (rows[:, 3] <= WIDTH).all()
    assert (rows[:, 2] < rows[:, 4]).all() and (rows[:, 4] <= HEIGHT).all()


@pytest.mark.parametrize("seed", range(25))
def test_a_variation_moves_the_box_with_its_object(seed: int) -> None:
    image = np.full((HEIGHT, WIDTH, 3), PAD, np.uint8)
    image[60:110, 100:180] = 255
    sample = varied(Sample(image, np.array([[1, 100, 60, 180, 110, 1.0]], np.float32)), Random(seed))
    bright = np.abs(sample.image.astype(float) - np.median(sample.image, axis=(0, 1))).max(axis=2) > 50
    ys, xs = np.nonzero(bright)
    x0, y0, x1, y1 = sample.rows[0, 1:5]
    assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == pytest.approx((x0, y0, x1, y1), abs=2.5)
