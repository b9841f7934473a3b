"""Nothing is said of cameras that are well, however little their pictures change, or however much."""

from __future__ import annotations

import pytest

from detectors.vision.health.picture_health import PictureHealth
from simulator.scenes.catalogue import SCENES
from tests.detectors.vision.health.false_alarms import looks_of, rendered, said_of
from tests.detectors.vision.health.quiet_scenes import LOOK_MS, QUIET
from tests.detectors.vision.health.test_picture_health import SCENE
from tests.support.shared import need_shared

TWO_MINUTES = 120_000 // LOOK_MS
UNTOUCHED = (
    "falling/facade_office3.mp4",
    "gate/entrance_crowd_1080p.mp4",
    "gate/one-by-one-person-detection.mp4",
    "gate/person-bicycle-car-detection.gif",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUIET)
def test_quiet_nights_lamps_rain_and_parked_cars_are_no_fault(name: str) -> None:
    health = PictureHealth()
    said = [health.look(picture, n * LOOK_MS) for n, picture in enumerate(QUIET[name](SCENE, TWO_MINUTES))]
    assert len(said) == TWO_MINUTES
    assert set(said) == {frozenset()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_the_cameras_of_the_demo_are_well(name: str) -> None:
    assert said_of(rendered(name, 6)) == " 120 pictures: nothing"


@pytest.mark.slow
@pytest.mark.parametrize("clip", UNTOUCHED)
def test_clips_that_no_limit_was_chosen_by_are_well(clip: str) -> None:
    assert said_of(looks_of(need_shared(f"clips/{clip}"))).endswith(": nothing")
