"""Blobs become tracklets along paths a falling thing could take."""

from __future__ import annotations

import numpy as np

from detectors.vision.falling.blobs import Blobs, find_blobs
from detectors.vision.falling.frame_difference import MotionFrame
from detectors.vision.falling.tracklets import MAX_TRACKS, Linker, Tracklet


def _blobs(at_ms: float, *places: tuple[float, float]) -> Blobs:
    x, y = np.array([p[0] for p in places]), np.array([p[1] for p in places])
    six = np.full(len(places), 6.0)
    return Blobs(at_ms, x, y, six, six, six * 6)


def _fall_row(t_s: float) -> float:
    return 20 + 250 * t_s * t_s


def _link(frames: list[Blobs]) -> list[Tracklet]:
    linker = Linker(480)
    ended = [track for blobs in frames for track in linker.push(blobs)]
    return ended + linker.flush()


def _longest(tracks: list[Tracklet]) -> Tracklet:
    return max(tracks, key=lambda t: len(t.sightings))


def test_an_accelerating_blob_is_one_tracklet_from_first_to_last_sight() -> None:
    frames = [_blobs(k * 40.0, (100.0, _fall_row(k * 0.04))) for k in range(30)]
    track = _longest(_link([*frames, *(_blobs(1200 + k * 40.0) for k in range(10))]))
    assert len(track.sightings) == 30
    assert track.duration_ms == 29 * 40


def test_it_survives_a_quarter_second_behind_a_branch() -> None:
    frames = [_blobs(k * 40.0, *([(100.0, _fall_row(k * 0.04))] if not 14 <= k < 19 else [])) for k in range(32)]
    track = _longest(_link(frames))
    assert track.sightings[0].at_ms == 0.0
    assert track.last.at_ms == 31 * 40


def test_clutter_beside_it_does_not_break_it() -> None:
    random = np.random.default_rng(7)
    frames = []
    for k in range(30):
        clutter = [(float(a), float(b)) for a, b in random.uniform(0, 480, (25, 2))]
        frames.append(_blobs(k * 40.0, (100.0, _fall_row(k * 0.04)), *clutter))
    track = _longest(_link(frames))
    on_path = [abs(s.y - _fall_row(s.at_ms / 1000)) < 1 and s.x == 100.0 for s in track.sightings]
    assert sum(on_path) >= 26


def test_what_rises_is_never_linked_far() -> None:
    tracks = _link([_blobs(k * 40.0, (100.0, 400.0 - 12 * k)) for k in range(25)])
    assert max((len(t.sightings) for t in tracks), default=0) <= 2


def test_what_hovers_is_given_up() -> None:
    linker = Linker(480)
    for k in range(60):
        linker.push(_blobs(k * 40.0, (100.0, 200.0)))
    assert max(t.duration_ms for t in linker.tracks) < 1_600


def test_a_storm_of_blobs_is_bounded() -> None:
    random = np.random.default_rng(8)
    linker = Linker(480)
    for k in range(20):
        linker.push(_blobs(k * 40.0, *[(float(a), float(b)) for a, b in random.uniform(0, 480, (120, 2))]))
    assert len([t for t in linker.tracks if len(t.sightings) > 1]) <= MAX_TRACKS


def _motion(*boxes: tuple[int, int, int, int]) -> MotionFrame:
    mask = np.zeros((240, 320), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    cells = mask.reshape(60, 4, 80, 4).max(axis=(1, 3))
    return MotionFrame(0.0, mask, cells)


def test_a_blob_has_its_pixels_centre_box_and_area() -> None:
    blobs = find_blobs(_motion((101, 50, 109, 56)))
    assert (len(blobs), blobs.x[0], blobs.y[0]) == (1, 104.5, 52.5)
    assert (blobs.width[0], blobs.height[0], blobs.area[0]) == (8, 6, 48)


def test_pieces_close_together_are_one_blob_and_far_ones_are_not() -> None:
    blobs = find_blobs(_motion((100, 50, 106, 56), (108, 50, 112, 54), (200, 50, 206, 56)))
    assert sorted(blobs.area.tolist()) == [36, 52]


def test_specks_are_no_blobs() -> None:
    assert len(find_blobs(_motion((10, 10, 12, 11), (100, 100, 101, 101)))) == 0
    assert len(find_blobs(_motion())) == 0
