"""Who is followed is followed on when the stream changes its size; nobody crosses or enters because of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from contracts.events import ObjectLabel, TrackPhase
from detectors.vision.detection.detections import Detections, Image, detections
from detectors.vision.geometry.shapes import Line, Zone
from detectors.vision.observations import LinePassed, ObjectInZone, Observation
from detectors.vision.tracking.object_analyser import FollowingAnalyser

HALL = Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
DOOR = Line("door", start=(0.5, 0.0), end=(0.5, 1.0))
Share = tuple[float, float, float, float]
Size = tuple[int, int]


class Eye:
    """Sees somebody at these shares of the picture, whatever its size."""

    def __init__(self) -> None:
        self.at: Share = (0.4, 0.3, 0.48, 0.9)

    def detect(self, frame: Image) -> Detections:
        height, width = frame.shape[:2]
        return detections([np.asarray(self.at) * (width, height, width, height)], [0.9], [0])


def said(place: Callable[[int], Share], size: Callable[[int], Size], label: ObjectLabel) -> list[Observation]:
    eye, out = Eye(), list[Observation]()
    analyser = FollowingAnalyser(eye, (label,), zones=(HALL,), lines=(DOOR,), interval_ms=200)
    for at_ms in range(0, 16_000, 40):
        eye.at, (width, height) = place(at_ms), size(at_ms)
        out += analyser.process(np.zeros((height, width, 3), np.uint8), at_ms)
    return out


def _standing(_: int) -> Share:
    return 0.4, 0.3, 0.48, 0.9


def _walking(at_ms: int) -> Share:
    x = 0.1 + 0.05 * at_ms / 1000
    return x, 0.3, x + 0.08, 0.9


CHANGES: list[tuple[Size, Size]] = [
    ((1920, 1080), (1280, 720)),
    ((1280, 720), (1920, 1080)),
    ((1920, 1080), (320, 180)),
    ((1280, 720), (1280, 960)),
    ((1920, 1080), (704, 576)),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
@pytest.mark.parametrize("label", [ObjectLabel.PERSON, ObjectLabel.E_BIKE])
def test_who_stands_enters_once_and_crosses_nothing(before: Size, after: Size, label: ObjectLabel) -> None:
    out = said(_standing, lambda at_ms: before if at_ms < 8_000 else after, label)
    phases = Counter(one.phase for one in out if isinstance(one, ObjectInZone))
    assert (phases[TrackPhase.ENTERED], phases[TrackPhase.LEFT]) == (1, 0)
    assert not any(isinstance(one, LinePassed) for one in out)


@pytest.mark.parametrize(("before", "after"), CHANGES[:3])
@pytest.mark.parametrize("at_ms", [6_000, 7_000, 7_200, 7_400, 8_000])
def test_who_walks_through_while_the_size_changes_is_counted_once(before: Size, after: Size, at_ms: int) -> None:
    out = said(_walking, lambda now_ms: before if now_ms < at_ms else after, ObjectLabel.PERSON)
    assert [type(one) for one in out if isinstance(one, LinePassed)] == [LinePassed]
    assert len({one.track_id for one in out if isinstance(one, ObjectInZone | LinePassed)}) == 1


def test_a_picture_that_shows_another_part_of_the_scene_lets_nobody_cross() -> None:
    def place(at_ms: int) -> Share:  # cut to 4:3 on the left: whoever stands left of the line is right of it now
        return (0.42, 0.3, 0.5, 0.9) if at_ms < 8_000 else (0.52, 0.3, 0.62, 0.9)

    out = said(place, lambda at_ms: (1280, 720) if at_ms < 8_000 else (960, 720), ObjectLabel.PERSON)
    assert not any(isinstance(one, LinePassed) for one in out)


def test_a_stream_that_goes_to_and_fro_is_one_stay() -> None:
    out = said(_standing, lambda at_ms: (1920, 1080) if at_ms // 1_000 % 2 else (640, 360), ObjectLabel.E_BIKE)
    phases = Counter(one.phase for one in out if isinstance(one, ObjectInZone))
    assert (phases[TrackPhase.ENTERED], phases[TrackPhase.LEFT]) == (1, 0)
