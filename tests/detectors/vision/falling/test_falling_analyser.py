"""Pictures of falls in, one fall each out; and silence about everything else."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bench.actors import Actor, rectangle
from bench.backdrops import Backdrop, drawn_facade
from bench.camera_model import FacadeCamera
from bench.composites import Composite
from bench.disturbances import Disturbance
from bench.falls import free_fall
from bench.nuisances import NUISANCES
from detectors.vision.falling.falling_analyser import FallingAnalyser, FallingObject, RejectedTrack
from detectors.vision.falling.verdict import Reason
from detectors.vision.geometry.facade import FacadeColumn, FacadeGeometry
from tests.support.shared import need_shared

CAMERA = FacadeCamera(width=480, height=272, focal_px=330.0, pitch_rad=0.42, eye_m=2.0, distance_m=17.0)
CALM = Disturbance(noise_levels=1.5, trees=[], jitter_px=0.0, light="steady", source_fps=25.0, fps=25.0, crf=None)
FLOOR = 7.0  # of the true falls below


def _clip(actors: list[Actor], *, what: Disturbance = CALM, length_s: float = 4.0, seed: int = 1) -> Composite:
    backdrop = Backdrop("drawn", [drawn_facade(np.random.default_rng(2), CAMERA)])
    return Composite(
        seed=seed, camera=CAMERA, backdrop=backdrop, disturbance=what, actors=actors, falls=[], nuisances=[],
        length_s=length_s,
    )  # fmt: skip


def _falling_box(
    x_m: float = 1.0, begin_s: float = 1.2, *, wall_gap_m: float = 1.0, opacity: float = 1.0, size_m: float = 0.35
) -> Actor:
    path = free_fall((x_m, (FLOOR - 1) * 3.0, 17.0 - wall_gap_m), (0.3, 0.0, 0.0), terminal_ms=45.0)
    return Actor(
        path=lambda t: path(t - begin_s), begin_s=begin_s, end_s=begin_s + 1.85, outline=rectangle(), width_m=size_m,
        height_m=0.7 * size_m, grey=245.0, spin_rad_s=5.0, opacity=opacity,
    )  # fmt: skip


def _watch(
    clip: Composite, geometry: FacadeGeometry | None = None
) -> tuple[list[FallingObject], list[RejectedTrack], list[int]]:
    """Falls, rejected tracks, and when each fall was said."""
    analyser, falls, said = FallingAnalyser(geometry), [], []
    for picture, at_ms in clip.frames():
        found = analyser.process(picture, at_ms)
        falls += found
        said += [at_ms] * len(found)
    return falls + analyser.flush(), analyser.take_rejected(), said


def _calibrated() -> FacadeGeometry:
    return CAMERA.geometry(np.random.default_rng(3), 0.7)


def test_a_fall_is_found_once_with_its_times_and_path_by_an_unknown_camera() -> None:
    (fall,), _, said = _watch(_clip([_falling_box()]))
    assert not fall.calibrated and not fall.suspected
    assert (fall.floor, fall.drop_m, fall.gravity_ms2, fall.column) == (None, None, None, None)
    assert 1_200 <= fall.started_ms <= 1_700 and 2_500 <= fall.at_ms <= 3_060
    assert fall.duration_ms == fall.at_ms - fall.started_ms
    assert 2 < fall.size_px < 20 and fall.score > 0.5
    assert said[0] - fall.at_ms <= 1_000


def test_a_calibrated_camera_measures_gravity_and_the_floor_of_origin() -> None:
    (fall,), _, _ = _watch(_clip([_falling_box()]), _calibrated())
    assert fall.calibrated
    assert fall.gravity_ms2 == pytest.approx(9.3, abs=1.2)  # slowed a little by air
    assert fall.floor is not None and fall.floor_error is not None
    assert abs(fall.floor - FLOOR) <= max(fall.floor_error, 0.6)
    assert fall.drop_m == pytest.approx(15.0, abs=3.5)


def test_the_column_of_flats_is_named() -> None:
    half = CAMERA.width / 2
    columns = (FacadeColumn("b1-left", 0, half), FacadeColumn("b1-right", half, CAMERA.width))
    (fall,), _, _ = _watch(_clip([_falling_box(2.0)]), msgspec.structs.replace(_calibrated(), columns=columns))
    assert fall.column == "b1-right"


def test_an_object_its_mirror_image_and_a_fragment_are_one_fall() -> None:
    actors = [_falling_box(), _falling_box(wall_gap_m=-1.0, opacity=0.5), _falling_box(1.5, 1.25, size_m=0.2)]
    falls, _, _ = _watch(_clip(actors))
    assert len(falls) == 1


def test_two_falls_one_after_the_other_are_two() -> None:
    falls, _, _ = _watch(_clip([_falling_box(), _falling_box(-3.0, 4.0)], length_s=7.0))
    assert len(falls) == 2
    assert falls[0].track_id != falls[1].track_id


TROUBLES = {
    "repeats": msgspec.structs.replace(CALM, source_fps=20.0, fps=30.0),
    "light": msgspec.structs.replace(CALM, light="clouds"),
    "step of light": msgspec.structs.replace(CALM, light="step"),
    "wind": msgspec.structs.replace(CALM, jitter_px=0.3),
    "noise and codec": msgspec.structs.replace(CALM, noise_levels=4.0, crf=28),
    "ten pictures a second": msgspec.structs.replace(CALM, source_fps=10.0, fps=10.0),
    "a tree": msgspec.structs.replace(CALM, trees=[(0, 60, 90, 140, 1.5)]),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_fall_is_found_once_in_spite_of(trouble: str) -> None:
    falls, _, _ = _watch(_clip([_falling_box()], what=TROUBLES[trouble]))
    assert len(falls) == 1 and not falls[0].suspected


def test_times_of_arrival_may_jitter() -> None:
    random, analyser = np.random.default_rng(5), FallingAnalyser(_calibrated())
    falls: list[FallingObject] = []
    for picture, at_ms in _clip([_falling_box()]).frames():
        falls += analyser.process(picture, at_ms + int(random.integers(0, 18)))
    falls += analyser.flush()
    assert len(falls) == 1 and falls[0].gravity_ms2 == pytest.approx(9.3, abs=1.6)


def test_falls_are_numbered_from_the_first_number_given() -> None:
    analyser = FallingAnalyser(first_track_id=500)
    falls = [fall for picture, at_ms in _clip([_falling_box()]).frames() for fall in analyser.process(picture, at_ms)]
    assert [fall.track_id for fall in falls + analyser.flush()] == [500]


def test_a_still_picture_without_any_noise_says_nothing() -> None:
    analyser, picture = FallingAnalyser(), drawn_facade(np.random.default_rng(2), CAMERA)
    assert [fall for k in range(60) for fall in analyser.process(picture, k * 40)] + analyser.flush() == []


@pytest.mark.parametrize("kind", sorted(set(NUISANCES) - {"rain", "snow"}))
def test_no_fall_is_seen_in_a(kind: str) -> None:
    actors = NUISANCES[kind](np.random.default_rng(11), CAMERA, 0.8, 2.4)
    clip = _clip(actors, length_s=3.6)
    assert _watch(clip)[0] == []
    assert _watch(clip, _calibrated())[0] == []


def test_a_steady_descent_of_ten_metres_a_second_is_suspected_when_heights_are_known() -> None:
    sinking = msgspec.structs.replace(_falling_box(), path=lambda t: (1.0, 18.0 - 9.0 * (t - 1.2), 16.0))
    falls, _, _ = _watch(_clip([sinking]), _calibrated())
    assert len(falls) == 1 and falls[0].suspected
    assert falls[0].score <= 0.5


def test_a_basket_let_down_on_a_rope_is_rejected_with_a_reason() -> None:
    lowered = msgspec.structs.replace(_falling_box(), path=lambda t: (1.0, 14.0 - 1.8 * (t - 1.2), 16.0), end_s=6.0)
    falls, rejected, _ = _watch(_clip([lowered], length_s=5.0))
    assert falls == []
    longest = max(rejected, key=lambda r: r.to_ms - r.from_ms)
    assert longest.reason in (Reason.NOT_FREE_FALL, Reason.NO_ACCELERATION, Reason.SCALE_UNKNOWN, Reason.WRONG_SIZE)
    assert longest.to_xy[1] > longest.from_xy[1] and longest.sightings >= 8


def test_colour_and_luma_are_judged_alike() -> None:
    colour, luma = FallingAnalyser(), FallingAnalyser()
    told: list[list[FallingObject]] = [[], []]
    for picture, at_ms in _clip([_falling_box()]).frames():
        told[0] += colour.process(np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8), at_ms)
        told[1] += luma.process(picture, at_ms)
    assert told[0] == told[1]


def test_pictures_of_any_size_and_changes_of_size_are_taken() -> None:
    analyser = FallingAnalyser()
    for k, shape in enumerate([(270, 481), (270, 481), (33, 47), (2160, 3840), (2160, 3840), (272, 480)]):
        assert analyser.process(np.zeros(shape, np.uint8), k * 40) == []
    assert analyser.flush() == []


def test_pictures_out_of_order_are_ignored() -> None:
    analyser = FallingAnalyser()
    frames = list(_clip([_falling_box()]).frames())
    falls = [fall for picture, at_ms in frames for fall in analyser.process(picture, at_ms)]
    assert [fall for picture, at_ms in frames for fall in analyser.process(picture, at_ms)] == []
    assert len(falls + analyser.flush()) == 1


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((99, 99), np.float32),
        np.zeros((99, 99, 4), np.uint8),
        np.zeros(99, np.uint8),
        np.zeros((9, 99), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(picture: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="expected"):
        FallingAnalyser().process(picture, 0)


def _clip_falls(path: Path) -> list[FallingObject]:
    capture, analyser, index = cv2.VideoCapture(str(path)), FallingAnalyser(), 0
    falls: list[FallingObject] = []
    fps = capture.get(cv2.CAP_PROP_FPS)
    while True:
        ok, frame = capture.read()
        if not ok:
            return falls + analyser.flush()
        falls += analyser.process(np.asarray(frame, np.uint8), round(index / fps * 1000))
        index += 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["facade_office1", "facade_office3"])
def test_a_real_fall_is_found_once_where_it_was(name: str) -> None:
    path = need_shared(f"clips/falling/{name}.mp4")
    truth = msgspec.json.decode(path.with_suffix(".json").read_bytes())
    places = {round(f / truth["fps"] * 1000): (x, y) for f, x, y in truth["events"][0]["track"]}
    (fall,) = _clip_falls(path)
    near = [
        abs(s.x - places[t][0]) < 25 and abs(s.y - places[t][1]) < 25
        for s in fall.path
        if (t := min(places, key=lambda at: abs(at - s.at_ms))) and abs(t - s.at_ms) < 20
    ]
    assert len(near) >= 30 and np.mean(near) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["traffic_640x360.avi", "vtest_480x360.mp4", "birds_sky_720p.mp4"])
def test_nothing_falls_in_a_real_clip_of(name: str) -> None:
    assert _clip_falls(need_shared(f"clips/negatives/{name}")) == []
