"""Rows and heights of a facade from clicked storey edges."""

from __future__ import annotations

import numpy as np
import pytest

from bench.camera_model import FacadeCamera
from contracts.errors import ConfigurationError
from detectors.vision.geometry.facade import FacadeGeometry, StoreyEdge
from detectors.vision.geometry.perspective import Perspective, calibrate

CAMERA = FacadeCamera(width=1280, height=720, focal_px=900.0, pitch_rad=0.45, eye_m=2.0, distance_m=18.0)


def _geometry(*floors: float, moved_px: float = 0.0) -> FacadeGeometry:
    rows = [CAMERA.project((0.0, (floor - 1) * 3.0, 18.0))[1] for floor in floors]
    rows[-1] += moved_px
    return FacadeGeometry(storey_edges=tuple(StoreyEdge(f, r) for f, r in zip(floors, rows, strict=True)))


def _calibrated(geometry: FacadeGeometry, height_px: int = 720) -> Perspective:
    perspective = calibrate(geometry, height_px)
    assert perspective is not None
    return perspective


def test_three_storey_edges_give_every_height_of_a_pinhole_camera() -> None:
    perspective = _calibrated(_geometry(2, 5, 9))
    for height in (0.0, 4.4, 13.7, 29.0):
        _, row, _ = CAMERA.project((3.0, height, 18.0))
        assert perspective.height_m(np.array([row]))[0] == pytest.approx(height, abs=1e-6)
        assert perspective.row_px(np.array([height]))[0] == pytest.approx(row, abs=1e-6)


def test_more_clicks_than_three_share_their_errors() -> None:
    clicked = _geometry(2, 4, 6, 8, 10, moved_px=3.0)
    _, row, _ = CAMERA.project((0.0, 15.0, 18.0))
    assert _calibrated(clicked).height_m(np.array([row]))[0] == pytest.approx(15.0, abs=0.3)


def test_edges_clicked_in_a_smaller_picture_hold_in_the_stream() -> None:
    whole = _geometry(2, 5, 9)
    half = FacadeGeometry(
        storey_edges=tuple(StoreyEdge(e.floor, e.y_px / 2) for e in whole.storey_edges), height_px=360, width_px=640
    )
    rows = np.array([100.0, 400.0])
    assert _calibrated(half).height_m(rows) == pytest.approx(_calibrated(whole).height_m(rows))


def test_a_row_above_the_vanishing_point_has_no_height() -> None:
    assert np.isnan(_calibrated(_geometry(2, 5, 9)).height_m(np.array([-20_000.0]))[0])


def test_pixels_per_metre_are_the_slope_of_the_rows() -> None:
    perspective = _calibrated(_geometry(2, 5, 9))
    heights = np.array([9.99, 10.01])
    slope = abs(float(np.diff(perspective.row_px(heights))[0])) / 0.02
    assert perspective.px_per_m(np.array([10.0]))[0] == pytest.approx(slope, rel=1e-4)


def test_no_edges_mean_uncalibrated() -> None:
    assert calibrate(FacadeGeometry(), 720) is None


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        (((2, 500.0), (5, 300.0)), "2 given"),
        (((2, 500.0), (5, 600.0), (9, 100.0)), "must lie above"),
        (((2, 500.0), (2, 400.0), (9, 100.0)), "must lie above"),
        (((1, 700.0), (2, 690.0), (3, 400.0), (4, 390.0), (5, 20.0)), "no wall fits"),
    ],
)
def test_edges_that_are_not_one_wall_are_refused_with_the_reason(
    edges: tuple[tuple[float, float], ...], says: str
) -> None:
    geometry = FacadeGeometry(storey_edges=tuple(StoreyEdge(f, y) for f, y in edges))
    with pytest.raises(ConfigurationError, match=says):
        calibrate(geometry, 720)
