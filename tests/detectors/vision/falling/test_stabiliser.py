"""A camera shaken by the wind gives steady pictures; a turned one begins anew; a still one is left alone."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from bench.backdrops import drawn_facade
from bench.camera_model import FacadeCamera
from detectors.vision.falling.stabiliser import Stabiliser

Luma = npt.NDArray[np.uint8]
CAMERA = FacadeCamera(width=480, height=272, focal_px=330.0, pitch_rad=0.42, eye_m=2.0, distance_m=17.0)
FACADE = drawn_facade(np.random.default_rng(2), CAMERA)


def _moved(dx: float, dy: float, picture: Luma = FACADE) -> Luma:
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(picture, move, (480, 272), borderMode=cv2.BORDER_REFLECT), np.uint8)


def _difference(one: Luma, other: Luma) -> float:
    inner = np.s_[8:-8, 8:-8]
    return float(np.abs(one[inner].astype(int) - other[inner]).mean())


def test_shake_is_taken_out() -> None:
    stabiliser, random = Stabiliser(), np.random.default_rng(1)
    stabiliser.stabilised(FACADE, 0)
    shaken = [_moved(*random.normal(0, 0.9, 2)) for _ in range(20)]
    left = [_difference(stabiliser.stabilised(p, 40.0 * k + 40), FACADE) for k, p in enumerate(shaken)]
    before = [_difference(p, FACADE) for p in shaken]
    assert np.mean(left) < 0.55 * np.mean(before)


def test_a_still_camera_is_given_back_as_it_is() -> None:
    stabiliser, noise = Stabiliser(), np.random.default_rng(2)
    for k in range(10):
        picture = np.clip(FACADE + noise.normal(0, 3, FACADE.shape), 0, 255).astype(np.uint8)
        assert stabiliser.stabilised(picture, 40.0 * k) is picture


def test_a_thing_crossing_the_picture_does_not_drag_it_along() -> None:
    stabiliser = Stabiliser()
    stabiliser.stabilised(FACADE, 0)
    for k in range(20):
        picture = FACADE.copy()
        picture[60:150, 20 * k : 20 * k + 50] = 20
        assert stabiliser.stabilised(picture, 40.0 * k + 40) is picture


def test_slow_drift_is_left_in() -> None:
    stabiliser = Stabiliser()
    for k in range(50):
        drifted = _moved(0.0, 0.004 * k)
        assert stabiliser.stabilised(drifted, 40.0 * k) is drifted


def test_a_turned_camera_begins_anew() -> None:
    stabiliser = Stabiliser()
    stabiliser.stabilised(FACADE, 0)
    turned = _moved(14.0, 9.0)
    for k in range(1, 150):
        again = turned.copy()
        steady = stabiliser.stabilised(again, 40.0 * k)
    assert steady is again


def test_an_empty_sky_shows_no_shake() -> None:
    stabiliser, sky = Stabiliser(), np.full((272, 480), 200, np.uint8)
    assert stabiliser.stabilised(sky, 0) is sky
    assert stabiliser.stabilised(sky, 40) is sky
