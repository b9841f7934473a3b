"""Motion is where a picture differs from before and after; light, noise and trees are not motion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from detectors.vision.falling.frame_difference import FrameDifference, MotionFrame, is_repeat

Luma = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 120, 160


def _texture(seed: int = 0) -> Luma:
    return np.random.default_rng(seed).integers(60, 180, (HEIGHT, WIDTH)).astype(np.uint8)


def _with_square(picture: Luma, x: int, y: int, size: int = 6) -> Luma:
    drawn = picture.copy()
    drawn[y : y + size, x : x + size] = 255
    return drawn


def _all(pictures: list[Luma], step_ms: int = 40) -> list[MotionFrame]:
    difference = FrameDifference()
    return [m for k, p in enumerate(pictures) for m in difference.push(p, k * step_ms)]


def _moved_px(frames: list[MotionFrame]) -> list[int]:
    return [int((m.mask > 0).sum()) for m in frames]


def test_the_same_picture_is_a_repeat_and_so_is_one_encoded_again() -> None:
    picture = _texture()
    again = picture.copy()
    again[::40, ::40] += 2
    assert is_repeat(picture, picture.copy())
    assert is_repeat(again, picture)


def test_a_small_thing_moving_in_a_still_picture_is_no_repeat() -> None:
    picture = np.full((360, 640), 90, np.uint8)
    moved = picture.copy()
    moved[200:204, 300:304] = 140
    assert float(np.abs(moved.astype(int) - picture).mean()) < 0.1
    assert not is_repeat(moved, picture)


def test_repeats_are_dropped_and_counted() -> None:
    difference = FrameDifference()
    pictures = [_with_square(_texture(), 20, 5 * (k - k % 3 // 2)) for k in range(15)]
    for k, picture in enumerate(pictures):
        difference.push(picture, k * 33)
    assert difference.repeats == 5


def test_a_moving_thing_is_seen_at_one_place_at_the_time_it_was_there() -> None:
    frames = _all([_with_square(_texture(), 20, 8 * k) for k in range(12)])
    for motion in frames[2:]:
        k = round(motion.at_ms / 40)
        rows, columns = np.nonzero(motion.mask)
        assert 8 * k <= rows.min() and rows.max() < 8 * k + 6
        assert columns.min() >= 20 and columns.max() < 26


def test_nothing_is_said_about_pictures_without_both_neighbours() -> None:
    frames = _all([_with_square(_texture(), 20, 8 * k) for k in range(12)])
    times = [m.at_ms for m in frames]
    assert min(times) >= 95 and max(times) <= 11 * 40 - 95
    assert times == sorted(set(times))


@pytest.mark.parametrize("change", ["step", "ramp", "lightning"])
def test_a_change_of_light_is_no_motion(change: str) -> None:
    base = _texture().astype(float) * 0.7
    gains = {
        "step": [1.0] * 12 + [1.3] * 12,
        "ramp": [1.0 + 0.02 * k for k in range(24)],
        "lightning": [1.0] * 12 + [1.35] + [1.0] * 11,
    }[change]
    noise = np.random.default_rng(4)
    pictures = [np.clip(base * g + noise.normal(0, 1, base.shape), 0, 255).astype(np.uint8) for g in gains]
    frames = _all(pictures)
    assert len(frames) > 15
    assert max(_moved_px(frames)) <= 0.05 * HEIGHT * WIDTH
    assert np.mean(_moved_px(frames)) <= 0.005 * HEIGHT * WIDTH


def test_sensor_noise_raises_its_own_threshold() -> None:
    noise, base = np.random.default_rng(5), _texture().astype(float)
    pictures = [np.clip(base + noise.normal(0, 8, base.shape), 0, 255).astype(np.uint8) for _ in range(60)]
    assert np.mean(_moved_px(_all(pictures))[30:]) < 0.001 * HEIGHT * WIDTH


def test_what_always_moves_is_suppressed_and_what_crosses_once_is_not() -> None:
    random, pictures = np.random.default_rng(6), []
    for k in range(120):
        picture = _texture()
        picture[20:60, 20:60] = random.integers(0, 255, (40, 40))  # leaves in a storm
        pictures.append(_with_square(picture, 120, 8 * (k - 105)) if 105 <= k < 117 else picture)
    late = _all(pictures)[-12:]
    leaves = np.mean([(m.mask[16:64, 16:64] > 0).sum() for m in late])
    square = np.mean([(m.mask[:, 115:130] > 0).sum() for m in late[4:10]])
    assert leaves < 10
    assert square > 20


def test_after_a_gap_in_the_stream_old_pictures_do_not_count() -> None:
    difference = FrameDifference()
    for k in range(10):
        difference.push(_texture(), k * 40)
    assert difference.push(_texture(9), 60_000) == []
