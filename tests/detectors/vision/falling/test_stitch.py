"""Pieces of one path are put together; what the predictor does not lead to is not."""

from __future__ import annotations

import numpy as np

from detectors.vision.falling.blobs import Blobs
from detectors.vision.falling.stitch import Stitcher
from detectors.vision.falling.tracklets import Linker, Tracklet


def _row(t_s: float) -> float:
    return 20 + 30 * t_s + 250 * t_s * t_s


def _piece(from_frame: int, to_frame: int, x: float = 100.0) -> Tracklet:
    linker = Linker(480)
    for k in range(from_frame, to_frame):
        six = np.full(1, 6.0)
        linker.push(Blobs(k * 40.0, np.array([x]), np.array([_row(k * 0.04)]), six, six, six * 6))
    return max(linker.flush(), key=lambda t: len(t.sightings))


def test_two_pieces_of_one_fall_are_one_path() -> None:
    stitcher = Stitcher(480)
    assert stitcher.wholes(_piece(0, 12)) == []
    (whole,) = stitcher.wholes(_piece(20, 30))
    assert [s.at_ms for s in whole.sightings] == [k * 40.0 for k in [*range(12), *range(20, 30)]]


def test_three_pieces_are_one_path() -> None:
    stitcher = Stitcher(480)
    for frames in ((0, 10), (13, 20), (24, 30)):
        wholes = stitcher.wholes(_piece(*frames))
    assert max(len(w.sightings) for w in wholes) == 23


def test_pieces_that_overlap_for_a_moment_keep_each_time_once() -> None:
    stitcher = Stitcher(480)
    stitcher.wholes(_piece(0, 14))
    (whole,) = stitcher.wholes(_piece(12, 26))
    assert [s.at_ms for s in whole.sightings] == [k * 40.0 for k in range(26)]


def test_a_piece_elsewhere_or_much_later_is_another_path() -> None:
    stitcher = Stitcher(480)
    stitcher.wholes(_piece(0, 10))
    assert stitcher.wholes(_piece(14, 24, x=180.0)) == []
    assert stitcher.wholes(_piece(26, 34)) == []


def test_specks_are_not_remembered() -> None:
    stitcher = Stitcher(480)
    stitcher.wholes(_piece(0, 3))
    assert stitcher.wholes(_piece(5, 15)) == []
