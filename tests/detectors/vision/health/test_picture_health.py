"""What is wrong with pictures, by what they show: each fault within its time, and nothing that only looks like one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import cv2
import numpy as np
import pytest

from contracts.events import CameraImpairment
from detectors.vision.detection.detections import Image
from detectors.vision.health.picture_health import HOLD_MS, OVER_MS, PictureHealth
from edge.capture.capture import read_video
from tests.support.shared import need_shared

BLACK, COVERED, FROZEN = CameraImpairment.BLACK, CameraImpairment.COVERED, CameraImpairment.FROZEN
BLURRED, MOVED = CameraImpairment.BLURRED, CameraImpairment.MOVED
STEP_MS = 1_000
WITHIN_MS = {BLACK: 30_000, COVERED: 30_000, FROZEN: 30_000, BLURRED: 60_000, MOVED: 60_000}
Change = Callable[[Image], Image]


def scene() -> Image:
    """A street of 640×360: houses with windows, bushes, a path."""
    rng = np.random.default_rng(5)
    picture = np.full((360, 640, 3), (150, 140, 120), np.uint8)
    for _ in range(120):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 10, 10), (600, 330, 110, 80)))
        cv2.rectangle(picture, (x, y), (x + w, y + h), tuple(int(v) for v in rng.integers(20, 235, 3)), -1)
        cv2.rectangle(picture, (x, y), (x + w, y + h), (20, 20, 20), 1)
    bushes = rng.normal(0, 25, (120, 640, 1))
    picture[240:] = np.clip(picture[240:] + bushes, 0, 255)
    return picture


cv2.setNumThreads(1)  # as a box does
SCENE = scene()
NOISE = [np.random.default_rng(n).normal(0, 2.0, (360, 640, 1)).astype(np.float32) for n in range(5)]


def living(picture: Image, n: int) -> Image:
    """A picture as a sensor gives it, with its noise."""
    return np.asarray(np.clip(picture + NOISE[n // STEP_MS % len(NOISE)], 0, 255), np.uint8)


def as_it_is(picture: Image) -> Image:
    return picture


def blurred(picture: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.5), np.uint8)


def turned(picture: Image) -> Image:
    return np.roll(picture, (45, 200), (0, 1))


def covered(picture: Image) -> Image:
    return np.full_like(picture, (70, 60, 75))


def nearly_covered(picture: Image) -> Image:
    """A hand: hardly any light and shade, and nothing sharp."""
    shade = np.linspace(60, 95, 640, dtype=np.float32)[None, :, None]
    return np.broadcast_to(shade, picture.shape).astype(np.uint8)


def black(picture: Image) -> Image:
    return np.full_like(picture, 16)


def darker(picture: Image) -> Image:
    return (picture * 0.35).astype(np.uint8)


def by_infrared(picture: Image) -> Image:
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    return np.repeat((255 - grey // 2)[..., None], 3, 2)


def with_a_lorry(picture: Image) -> Image:
    shown = picture.copy()
    shown[50:350, 150:500] = (40, 90, 160)
    return shown


def watched(health: PictureHealth, change: Change, from_ms: int, for_ms: int) -> dict[CameraImpairment, int]:
    """What is said in ``for_ms`` of such pictures, and how long after they began."""
    said: dict[CameraImpairment, int] = {}
    for at_ms in range(from_ms, from_ms + for_ms, STEP_MS):
        for reason in health.look(living(change(SCENE), at_ms), at_ms):
            said.setdefault(reason, at_ms - from_ms)
    return said


def in_use() -> PictureHealth:
    health = PictureHealth()
    assert watched(health, as_it_is, 0, 40_000) == {}
    return health


@pytest.mark.parametrize(
    ("change", "reason"),
    [(black, BLACK), (covered, COVERED), (nearly_covered, COVERED), (blurred, BLURRED), (turned, MOVED)],
)
def test_a_fault_is_said_within_its_time_and_is_over_soon_after_it(change: Change, reason: CameraImpairment) -> None:
    health = in_use()
    assert set(watched(health, change, 40_000, HOLD_MS[reason] - STEP_MS)) == set()
    said = watched(health, change, 40_000 + HOLD_MS[reason] - STEP_MS, 12_000)
    assert set(said) == {reason}
    assert HOLD_MS[reason] + said[reason] <= WITHIN_MS[reason]
    watched(health, as_it_is, 200_000, OVER_MS + 2 * STEP_MS)
    assert health.wrong == frozenset()


@pytest.mark.parametrize(("change", "reason"), [(black, BLACK), (covered, COVERED)])
def test_what_is_wrong_from_the_start_is_said_too(change: Change, reason: CameraImpairment) -> None:
    assert set(watched(PictureHealth(), change, 0, WITHIN_MS[reason])) == {reason}


def test_a_lens_out_of_focus_from_the_start_is_said_where_noise_does_not_hide_it() -> None:
    health, soft = PictureHealth(), blurred(SCENE)
    said = [health.look(np.roll(soft, n % 3, 1), n * STEP_MS) for n in range(WITHIN_MS[BLURRED] // STEP_MS)]
    assert said[0] == frozenset()
    assert said[-1] == {BLURRED}


@pytest.mark.parametrize("coded", [0, 1])
def test_a_picture_that_stands_still_is_frozen_also_when_it_is_coded_again(coded: int) -> None:
    health, still = in_use(), living(SCENE, 1)
    shown = [still, np.clip(still.astype(np.int16) + coded * (np.arange(640) % 64 == 0)[None, :, None], 0, 255)]
    said = [health.look(shown[n % 2].astype(np.uint8), 40_000 + n * STEP_MS) for n in range(32)]
    assert said[30_000 // STEP_MS - 1] == {FROZEN}
    assert said[15_000 // STEP_MS] == frozenset()


@pytest.mark.parametrize(("change", "lasts_ms"), [(darker, 120_000), (with_a_lorry, 25_000), (by_infrared, 120_000)])
def test_neither_dusk_nor_infrared_light_nor_a_lorry_is_a_fault(change: Change, lasts_ms: int) -> None:
    health = in_use()
    assert watched(health, change, 40_000, lasts_ms) == {}
    assert watched(health, as_it_is, 200_000, 30_000) == {}


def test_one_bad_second_is_nothing_and_no_pictures_are_not_bad_pictures() -> None:
    health = in_use()
    for n in range(20):
        assert watched(health, black if n % 4 == 0 else as_it_is, 40_000 + n * 4_000, 4_000) == {}
    assert set(watched(health, black, 200_000, 20_000)) == {BLACK}
    health.forget()
    assert health.wrong == frozenset()


def with_clock(picture: Image, n: int) -> Image:
    """A picture with the time written above it."""
    shown = picture.copy()
    text = f"2026-11-30 {n // 3_600_000:02d}:{n // 60_000 % 60:02d}:{n // 1_000 % 60:02d}"
    cv2.putText(shown, text, (10, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    return shown


def no_signal() -> Image:
    picture = np.full((360, 640, 3), (200, 40, 20), np.uint8)
    cv2.putText(picture, "NO SIGNAL", (180, 190), cv2.FONT_HERSHEY_SIMPLEX, 1.8, (255, 255, 255), 4)
    return picture


def bars() -> Image:
    colours = [(255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0), (255, 0, 255), (0, 0, 255), (255, 0, 0)]
    return np.repeat(np.repeat(np.array(colours, np.uint8), 92, 0)[None, :640], 360, 0)


def smeared(n: int, streaks: bool = False) -> Image:
    """What a decoder shows after lost packets: grey, or the last good row, as far as the lower end."""
    shown = living(SCENE, n)
    shown[120:] = shown[119] if streaks else 128
    return shown


def noise(n: int, mean: float, deviation: float) -> Image:
    drawn = np.random.default_rng(n).normal(mean, deviation, (360, 640, 3))
    return np.asarray(np.clip(drawn, 0, 255), np.uint8)


def overexposed(n: int) -> Image:
    return np.asarray(np.clip(living(SCENE, n).astype(np.int16) + 200, 0, 255), np.uint8)


def behind_dirt(n: int) -> Image:
    return living(np.asarray(SCENE * 0.15 + 150, np.uint8), n)


def by_turns(n: int, of_ms: int) -> Image:
    """Black and good, for so long each, black first."""
    return living(SCENE, n) if n // of_ms % 2 else black(SCENE)


def seen(health: PictureHealth, picture_at: Callable[[int], Image], for_ms: int) -> dict[CameraImpairment, int]:
    """What is said of such pictures from 40 s on, and how long after they began."""
    said: dict[CameraImpairment, int] = {}
    for n in range(0, for_ms, STEP_MS):
        for reason in health.look(picture_at(n), 40_000 + n):
            said.setdefault(reason, n)
    return said


NOTHING_TO_SEE: dict[str, tuple[Callable[[int], Image], CameraImpairment]] = {
    "frozen, its clock goes on": (lambda n: with_clock(living(SCENE, 0), n), FROZEN),
    "frozen, and flickers": (lambda n: np.clip(living(SCENE, 0).astype(np.int16) + n // 1_000 % 2, 0, 255), FROZEN),
    "no signal": (lambda _: no_signal(), COVERED),
    "no signal, its clock goes on": (lambda n: with_clock(no_signal(), n), COVERED),
    "no signal with noise": (lambda n: living(no_signal(), n), COVERED),
    "bars": (lambda n: living(bars(), n), COVERED),
    "smeared grey": (smeared, COVERED),
    "smeared in streaks": (lambda n: smeared(n, True), COVERED),
    "some noise": (lambda n: noise(n, 100, 8), COVERED),
    "more noise": (lambda n: noise(n, 60, 12), COVERED),
    "snow": (lambda n: noise(n, 128, 60), COVERED),
    "white": (overexposed, COVERED),
}


@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize("name", NOTHING_TO_SEE)
def test_pictures_that_show_nothing_are_said_whatever_they_look_like(name: str, learnt: bool) -> None:
    picture_at, reason = NOTHING_TO_SEE[name]
    health = in_use() if learnt else PictureHealth()
    said = seen(health, lambda n: np.asarray(picture_at(n), np.uint8), 31_000)
    assert said.get(reason, 99_000) <= WITHIN_MS[reason]


def test_a_lens_that_dirt_or_mist_covers_is_said_and_a_light_put_out_is_not() -> None:
    assert seen(in_use(), behind_dirt, 61_000) == {BLURRED: HOLD_MS[BLURRED]}
    assert seen(in_use(), lambda n: living(np.asarray(SCENE * 0.18, np.uint8), n), 61_000) == {}


@pytest.mark.parametrize("of_ms", [4_000, 10_000, 14_000])
def test_a_camera_that_flaps_is_said_to_be_impaired_all_the_while(of_ms: int) -> None:
    health = in_use()
    assert seen(health, lambda n: by_turns(n, of_ms), 61_000)[BLACK] <= 60_000
    told = [health.look(by_turns(n, of_ms), n) for n in range(101_000, 221_000, STEP_MS)]
    assert set(told) == {frozenset({BLACK})}
    assert all(health.look(living(SCENE, n), n) for n in range(221_000, 260_000, STEP_MS))
    assert watched(health, as_it_is, 260_000, 60_000) == {BLACK: 0}
    assert health.wrong == frozenset()


def test_a_camera_turned_slowly_has_moved_until_it_is_turned_back() -> None:
    health = in_use()

    def turned_by(pixels: float) -> Callable[[int], Image]:
        return lambda n: living(np.roll(SCENE, int(pixels), 1), n)

    said = seen(health, lambda n: turned_by(0.3 * n / 1_000)(n), 300_000)
    assert set(said) == {MOVED}
    assert 0.3 * said[MOVED] / 1_000 < 0.12 * 640
    for n in range(340_000, 400_000, STEP_MS):
        assert health.look(turned_by(90)(n), n) == {MOVED}
    watched(health, as_it_is, 400_000, 40_000)
    assert health.wrong == frozenset()


def shown(clip: str, change: Change) -> frozenset[CameraImpairment]:
    """What is said of a real clip that plays for 80 s and is changed after 40 s; it stands still now and then."""
    pictures = [frame.image for frame in islice(read_video(need_shared(f"clips/{clip}")), 0, 100, 5)]
    changed = [change(picture) for picture in pictures]
    health, said = PictureHealth(), frozenset[CameraImpairment]()
    for n in range(80):
        said |= health.look((pictures if n < 40 else changed)[n % len(pictures)], n * STEP_MS)
    return said - {FROZEN}


@pytest.mark.slow
@pytest.mark.parametrize(
    "clip",
    [
        "falling/facade_office1.mp4",
        "negatives/vtest_480x360.mp4",
        "negatives/traffic_640x360.avi",
        "negatives/birds_sky_720p.mp4",
    ],
)
def test_real_cameras_are_well(clip: str) -> None:
    assert shown(clip, as_it_is) == frozenset()


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["falling/facade_office1.mp4", "negatives/vtest_480x360.mp4"])
def test_real_cameras_that_are_blurred_or_covered_are_said_to_be(clip: str) -> None:
    assert shown(clip, lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 300))) == {
        BLURRED
    }
    assert shown(clip, lambda picture: np.full_like(picture, 90)) == {COVERED}
