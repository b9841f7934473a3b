"""Known physics in, recovered physics out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.camera_model import FacadeCamera
from bench.falls import free_fall
from detectors.vision.falling.free_fall import FallFit, SightingPath, fit_calibrated, fit_uncalibrated
from detectors.vision.geometry.facade import FacadeGeometry, StoreyEdge
from detectors.vision.geometry.perspective import calibrate

CAMERA = FacadeCamera(width=1280, height=720, focal_px=800.0, pitch_rad=0.5, eye_m=2.0, distance_m=16.0)
Where = Callable[[float], tuple[float, float, float]]


def _path(where: Where, from_s: float, to_s: float, noise_px: float = 0.0, fps: float = 25.0) -> SightingPath:
    t = np.arange(from_s, to_s, 1 / fps)
    seen = np.array([CAMERA.project(where(float(s)))[:2] for s in t])
    seen += np.random.default_rng(1).normal(0, noise_px, seen.shape) if noise_px else 0.0
    return SightingPath(t - t[0], seen[:, 0] - 640, seen[:, 1] - 360)


def _calibrated(path: SightingPath) -> FallFit:
    rows = [(f, CAMERA.project((0.0, (f - 1) * 3.0, 16.0))[1]) for f in (2.0, 5.0, 9.0)]
    perspective = calibrate(FacadeGeometry(storey_edges=tuple(StoreyEdge(*r) for r in rows)), 720)
    assert perspective is not None
    fit = fit_calibrated(path, perspective, 360.0)
    assert fit is not None
    return fit


def _uncalibrated(path: SightingPath) -> FallFit:
    fit = fit_uncalibrated(path)
    assert fit is not None
    return fit


HEAVY = free_fall((1.0, 24.0, 16.0), (0.5, 0.0, 0.0), terminal_ms=500.0)


def test_gravity_and_height_of_origin_are_measured_with_known_heights() -> None:
    fit = _calibrated(_path(HEAVY, 0.2, 1.9, noise_px=0.7))
    assert fit.gravity_ms2 == pytest.approx(9.81, abs=0.4)
    assert fit.rest_height_m == pytest.approx(24.0, abs=0.4)
    assert abs(fit.gravity_ms2 - 9.81) < 4 * fit.gravity_error_ms2
    assert fit.sideways_ms == pytest.approx(0.5, abs=0.4)


def test_the_origin_is_found_when_the_first_storeys_were_hidden() -> None:
    fit = _calibrated(_path(HEAVY, 1.0, 1.9, noise_px=0.5))
    assert fit.first_speed_ms == pytest.approx(9.81, abs=0.6)
    assert fit.rest_height_m == pytest.approx(24.0, abs=1.0)


def test_a_fall_seen_by_an_unknown_camera_fits_to_its_noise_and_gives_its_scale() -> None:
    fit = _uncalibrated(_path(HEAVY, 0.1, 1.9, noise_px=0.5))
    assert fit.error_px < 0.8
    assert fit.drop_m == pytest.approx(HEAVY(0.1)[1] - HEAVY(1.9)[1], rel=0.3)
    assert fit.bend_px > 100 * fit.error_px


def test_a_pixel_parabola_misses_the_same_fall_by_far_more() -> None:
    path = _path(HEAVY, 0.1, 1.9, noise_px=0.5)
    miss = np.polyval(np.polyfit(path.t_s, path.y_px, 2), path.t_s) - path.y_px
    assert np.sqrt((miss**2).mean()) > 3 * _uncalibrated(path).error_px


@pytest.mark.parametrize("speed_ms", [1.0, 3.0, 12.0])
def test_a_steady_descent_has_no_gravity_with_known_heights(speed_ms: float) -> None:
    duration = min(18.0 / speed_ms, 4.0)
    fit = _calibrated(_path(lambda t: (0.0, 22.0 - speed_ms * t, 16.0), 0.0, duration, noise_px=0.5))
    assert abs(fit.gravity_ms2) < 2.0


def test_a_straight_flight_through_the_picture_hardly_bends() -> None:
    t = np.arange(0, 1.2, 0.04)
    noise = np.random.default_rng(2).normal(0, 0.5, len(t))
    fit = _uncalibrated(SightingPath(t, 100 * t, -300 + 400 * t + noise))
    assert fit.bend_px < 10 * fit.error_px


def test_strays_are_left_out() -> None:
    clean = _path(HEAVY, 0.1, 1.9, noise_px=0.3)
    spoilt = SightingPath(clean.t_s, clean.x_px, clean.y_px.copy())
    spoilt.y_px[[5, 17, 30]] += (40.0, -35.0, 60.0)
    assert _calibrated(spoilt).gravity_ms2 == pytest.approx(_calibrated(clean).gravity_ms2, abs=0.2)
    assert _uncalibrated(spoilt).error_px < 1.0


def test_too_few_sightings_prove_nothing() -> None:
    assert fit_uncalibrated(_path(HEAVY, 0.1, 0.3)) is None


def test_a_path_that_leaves_the_wall_has_no_heights() -> None:
    path = _path(HEAVY, 0.1, 1.9)
    path.y_px[3] = -50_000.0
    rows = [(f, CAMERA.project((0.0, (f - 1) * 3.0, 16.0))[1]) for f in (2.0, 5.0, 9.0)]
    perspective = calibrate(FacadeGeometry(storey_edges=tuple(StoreyEdge(*r) for r in rows)), 720)
    assert perspective is not None
    assert fit_calibrated(path, perspective, 360.0) is None
