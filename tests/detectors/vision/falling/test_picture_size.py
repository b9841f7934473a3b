"""A stream that changes its size loses no fall, and a calibration holds at the size and shape it was made at."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import msgspec
import numpy as np
import pytest

from bench.composites import Composite
from detectors.vision.detection.detections import Image
from detectors.vision.falling.falling_analyser import FallingAnalyser, FallingObject
from detectors.vision.geometry.facade import FacadeColumn, FacadeGeometry
from tests.detectors.vision.falling.test_falling_analyser import CAMERA, FLOOR, _calibrated, _clip, _falling_box

OWN = (CAMERA.width, CAMERA.height)
FALL_MS = (1_200, 3_050)


def _sized(picture: Image, size: tuple[int, int]) -> Image:
    return picture if picture.shape[1::-1] == size else np.asarray(cv2.resize(picture, size), np.uint8)


def _watch(
    clip: Composite, size_at: Callable[[int], tuple[int, int]], geometry: FacadeGeometry | None = None
) -> tuple[list[FallingObject], FallingAnalyser]:
    analyser, falls = FallingAnalyser(geometry), []
    for picture, at_ms in clip.frames():
        falls += analyser.process(_sized(picture, size_at(at_ms)), at_ms)
    return falls + analyser.flush(), analyser


SIZES = [(640, 362), (320, 180), (480, 360), (352, 288)]
"""Larger, smaller, and two of another shape."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("after_ms", [-300, 0, 100, 300, 900])
def test_a_fall_is_found_once_when_the_size_changes_about_its_end(size: tuple[int, int], after_ms: int) -> None:
    falls, _ = _watch(
        _clip([_falling_box()], length_s=6.0), lambda at_ms: OWN if at_ms < FALL_MS[1] + after_ms else size
    )
    assert len(falls) == 1
    assert FALL_MS[0] <= falls[0].started_ms <= 1_700
    assert falls[0].at_ms <= FALL_MS[1] + 50


@pytest.mark.parametrize("after_ms", [100, 500, 1_000])
def test_a_fall_is_found_once_when_the_size_changes_in_its_midst(after_ms: int) -> None:
    clip = _clip([_falling_box()], length_s=6.0)
    falls, _ = _watch(clip, lambda at_ms: OWN if at_ms < FALL_MS[0] + after_ms else (640, 362), _calibrated())
    assert len(falls) == 1
    assert falls[0].floor == pytest.approx(FLOOR, abs=0.8)


def test_a_stream_that_goes_to_and_fro_loses_no_fall() -> None:
    clip = _clip([_falling_box()], length_s=6.0)
    falls, _ = _watch(clip, lambda at_ms: OWN if at_ms // 600 % 2 else (640, 362))
    assert len(falls) == 1


def test_a_second_fall_after_the_change_is_found_too() -> None:
    clip = _clip([_falling_box(), _falling_box(-2.0, 8.0)], length_s=11.0)
    falls, _ = _watch(clip, lambda at_ms: OWN if at_ms < 3_200 else (640, 362))
    assert [fall.started_ms > 7_900 for fall in falls] == [False, True]


@pytest.mark.parametrize("size", [(960, 544), (640, 362), (480, 272)])
@pytest.mark.parametrize("said", [True, False])
def test_floor_and_column_are_right_at_every_size_of_the_same_picture(size: tuple[int, int], said: bool) -> None:
    geometry = msgspec.structs.replace(_calibrated(), columns=(FacadeColumn("b1-right", 240, 480),))
    if said:  # the size that was clicked in; else it is that of the first pictures
        geometry = msgspec.structs.replace(geometry, width_px=OWN[0], height_px=OWN[1])
    clip = _clip([_falling_box(2.0)], length_s=5.0)
    falls, analyser = _watch(clip, lambda at_ms: size if said or at_ms > 300 else OWN, geometry)
    (fall,) = falls
    assert (fall.calibrated, fall.column, analyser.misfit) == (True, "b1-right", "")
    assert fall.floor == pytest.approx(FLOOR, abs=0.8)


@pytest.mark.parametrize("clicked", [(1920, 1440), (640, 640), (272, 480)])
def test_a_calibration_of_another_shape_is_not_used_and_says_so(clicked: tuple[int, int]) -> None:
    scale = clicked[1] / OWN[1]
    edges = tuple(msgspec.structs.replace(edge, y_px=edge.y_px * scale) for edge in _calibrated().storey_edges)
    columns = (FacadeColumn("b1-all", 0, clicked[0]),)
    geometry = FacadeGeometry(storey_edges=edges, columns=columns, width_px=clicked[0], height_px=clicked[1])
    falls, analyser = _watch(_clip([_falling_box()]), lambda _: OWN, geometry)
    (fall,) = falls
    assert (fall.calibrated, fall.floor, fall.drop_m, fall.column) == (False, None, None, None)
    assert analyser.misfit == f"calibrated in a picture of {clicked[0]}×{clicked[1]}, the stream's is 480×272"
