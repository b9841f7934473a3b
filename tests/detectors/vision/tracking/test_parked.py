"""What stands is one thing, however often and long the detector loses it; what leaves and what comes are two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from contracts.events import ObjectLabel, TrackPhase
from detectors.vision.detection.detections import Detections, Image, detections
from detectors.vision.geometry.shapes import Zone
from detectors.vision.observations import ObjectInZone
from detectors.vision.tracking.object_analyser import FollowingAnalyser
from edge.uplink.events import EvidencePolicy

HALL = Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
CLASSES = (ObjectLabel.E_BIKE, ObjectLabel.BICYCLE, ObjectLabel.PERSON)
E_BIKE, BICYCLE, PERSON = 0, 1, 2
PICTURE = np.zeros((480, 640, 3), np.uint8)
STAND = (100.0, 100.0, 300.0, 300.0)
Seen = tuple[tuple[float, float, float, float], int, float]
"""Box, class, score."""


class Eye:
    """Sees what it is told."""

    def __init__(self) -> None:
        self.sees: Sequence[Seen] = ()

    def detect(self, frame: Image) -> Detections:
        del frame
        return detections([s[0] for s in self.sees], [s[2] for s in self.sees], [s[1] for s in self.sees])


def said(sees: Callable[[int], Sequence[Seen]], seconds: float, *, interval_ms: int = 200) -> list[ObjectInZone]:
    """What is said of what is seen at each look, with the time in ms."""
    eye, out = Eye(), []
    analyser = FollowingAnalyser(eye, CLASSES, zones=(HALL,), lines=(), interval_ms=interval_ms)
    for at_ms in range(0, int(seconds * 1000), interval_ms):
        eye.sees = sees(at_ms)
        out += [one for one in analyser.process(PICTURE, at_ms) if isinstance(one, ObjectInZone)]
    return out


def phases(seen: Sequence[ObjectInZone]) -> tuple[int, int]:
    """How often something entered and left."""
    count = Counter(one.phase for one in seen)
    return count[TrackPhase.ENTERED], count[TrackPhase.LEFT]


def uploads(seen: Sequence[ObjectInZone]) -> int:
    policy = EvidencePolicy()
    return sum(policy.wanted(one).upload for one in seen)


def parked(*boxes: tuple[float, float, float, float]) -> list[Seen]:
    return [(box, E_BIKE, 0.9) for box in boxes or (STAND,)]


@pytest.mark.parametrize("gap_ms", [500, 1_400, 1_700, 3_000, 6_000, 9_000])
def test_a_parked_e_bike_that_is_lost_in_every_ten_seconds_enters_once(gap_ms: int) -> None:
    seen = said(lambda at_ms: parked() if at_ms % 10_000 < 10_000 - gap_ms else [], 300 if gap_ms == 1_700 else 100)
    assert (phases(seen), uploads(seen)) == ((1, 0), 1)
    assert {one.track_id for one in seen} == {1}


@pytest.mark.parametrize("seed", range(6))
def test_gaps_of_any_length_and_boxes_that_shake_are_one_stay(seed: int) -> None:
    random, hidden = np.random.default_rng(seed), [0.0, 0.0]

    def sees(at_ms: int) -> list[Seen]:
        if at_ms >= hidden[1]:
            hidden[0] = at_ms + random.uniform(1_000, 12_000)
            hidden[1] = hidden[0] + random.uniform(200, 9_000)
        if hidden[0] <= at_ms:
            return []
        box = np.asarray(STAND) + random.normal(0, 8, 4)
        return [(tuple(box.tolist()), E_BIKE if random.random() < 0.8 else BICYCLE, random.uniform(0.3, 0.9))]

    seen = said(sees, 120)
    assert (phases(seen), uploads(seen)) == ((1, 0), 1)


def test_one_that_is_seen_for_moments_only_enters_once() -> None:
    seen = said(lambda at_ms: parked() if at_ms % 2_600 < 800 else [], 120)
    assert (phases(seen), uploads(seen)) == ((1, 0), 1)


@pytest.mark.parametrize("apart_px", [120.0, 160.0, 240.0])
def test_two_side_by_side_stay_two_when_they_are_lost_together_or_in_turn(apart_px: float) -> None:
    second = (STAND[0] + apart_px, STAND[1] + 20, STAND[2] + apart_px, STAND[3] + 20)

    def sees(at_ms: int) -> list[Seen]:
        first_there, second_there = at_ms % 7_000 < 4_000, at_ms % 11_000 < 8_000
        return [*(parked(STAND) if first_there else []), *(parked(second) if second_there else [])]

    seen = said(sees, 120)
    assert (phases(seen), uploads(seen)) == ((2, 0), 2)
    lefts = {one.track_id: one.box_xyxy[0] for one in seen}
    assert all(abs(one.box_xyxy[0] - lefts[one.track_id]) < 1 for one in seen)


def _rolling(at_ms: int, from_ms: int, from_x: float, to_x: float) -> list[Seen]:
    """On the way at a metre a second: half its length."""
    way = 100.0 * (at_ms - from_ms) / 1000
    x = min(from_x + way, to_x) if to_x > from_x else max(from_x - way, to_x)
    return parked((x, 100.0, x + 200, 300.0)) if -150 <= x <= 590 else []


def test_one_that_rolls_out_and_another_that_comes_to_its_place_are_two() -> None:
    def sees(at_ms: int) -> list[Seen]:
        if at_ms < 20_000:
            return parked() if at_ms % 10_000 < 7_000 else []
        if at_ms < 40_000:
            return _rolling(at_ms, 20_000, 100.0, 700.0)
        return _rolling(at_ms, 40_000, 590.0, 100.0)

    seen = said(sees, 80)
    assert (phases(seen), uploads(seen)) == ((2, 1), 2)
    (left,) = [one for one in seen if one.phase is TrackPhase.LEFT]
    assert 25_000 < left.at_ms < 32_000


def test_one_that_is_gone_for_a_minute_has_left_and_the_next_is_another() -> None:
    seen = said(lambda at_ms: [] if 60_000 <= at_ms < 120_000 else parked(), 180)
    assert (phases(seen), uploads(seen)) == ((2, 1), 2)
    (left,) = [one for one in seen if one.phase is TrackPhase.LEFT]
    assert 89_000 <= left.at_ms <= 92_000
    assert left.dwell_ms < 60_000


def test_one_that_passes_in_front_of_it_is_another_and_changes_nothing() -> None:
    def sees(at_ms: int) -> list[Seen]:
        passing = _rolling(at_ms, 20_000, -150.0, 640.0) if at_ms >= 20_000 else []
        behind = bool(passing) and abs(passing[0][0][0] - STAND[0]) < 150
        return [*passing, *([] if behind else parked())]

    seen = said(sees, 60)
    assert (phases(seen), uploads(seen)) == ((2, 1), 2)
    assert {one.track_id for one in seen if one.at_ms > 50_000} == {1}


def test_people_who_stand_are_not_taken_for_each_other() -> None:
    someone: list[Seen] = [((100.0, 100.0, 160.0, 300.0), PERSON, 0.9)]
    seen = said(lambda at_ms: someone if at_ms % 10_000 < 7_000 else [], 60)
    assert phases(seen) == (6, 6)
