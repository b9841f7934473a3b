from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from contracts.events import Direction, ObjectLabel, TrackPhase
from detectors.vision.detection.detections import Detections
from detectors.vision.geometry.shapes import Anchor, Line, Zone
from detectors.vision.observations import LinePassed, ObjectInZone
from detectors.vision.tracking.lines import LineWatch, clear_side, cuts
from detectors.vision.tracking.zones import ZoneWatch
from tests.edge.factories import person_box

CLASSES = (ObjectLabel.PERSON, ObjectLabel.E_BIKE, None)
WIDTH, HEIGHT = 200, 200
HALF = Zone("hall", ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))
DOOR = Line("door", start=(0.2, 0.5), end=(0.8, 0.5))


def tracks(*points: tuple[int, float, float], class_id: int = 0) -> Detections:
    """Tracks (id, foot x, foot y)."""
    return Detections(
        np.asarray([person_box(x, y) for _, x, y in points], np.float32).reshape(-1, 4),
        np.full(len(points), 0.8, np.float32),
        np.full(len(points), class_id, np.int64),
        np.asarray([i for i, _, _ in points], np.int64),
    )


def in_zone(zone: Zone, path: Sequence[tuple[float, float] | None], *, class_id: int = 0) -> list[ObjectInZone]:
    """Return what a track says that is at these feet every 200 ms (None: unseen)."""
    watch, said = ZoneWatch(zone, CLASSES), []
    for n, foot in enumerate(path):
        found = tracks((7, *foot), class_id=class_id) if foot else tracks()
        said += watch.update(found, n * 200, WIDTH, HEIGHT)
    return said


def test_a_stay_is_entered_present_every_second_and_left() -> None:
    said = in_zone(HALF, [(150, 100)] * 16 + [None] * 12)
    assert [(o.phase, o.at_ms) for o in said] == [
        (TrackPhase.ENTERED, 400),
        (TrackPhase.PRESENT, 1400),
        (TrackPhase.PRESENT, 2400),
        (TrackPhase.LEFT, 4600),
    ]
    assert [o.dwell_ms for o in said] == [400, 1400, 2400, 3000]
    assert {(o.place_id, o.label, o.track_id) for o in said} == {("hall", ObjectLabel.PERSON, 7)}


@pytest.mark.parametrize(
    ("why", "path"),
    [
        ("outside", [(50, 100)] * 20),
        ("a flicker over the edge", [(95, 100), (105, 100)] + [(95, 100)] * 20),
        ("never seen", [None] * 20),
    ],
)
def test_nothing_is_said_of_who_is_not_inside(why: str, path: list[tuple[float, float] | None]) -> None:
    assert in_zone(HALF, path) == [], why


def test_an_unlisted_label_and_a_class_without_a_word_are_not_seen() -> None:
    only_e_bikes = Zone("hall", HALF.polygon, labels=(ObjectLabel.E_BIKE,))
    assert in_zone(only_e_bikes, [(150, 100)] * 10) == []
    assert in_zone(HALF, [(150, 100)] * 10, class_id=2) == []
    assert [o.label for o in in_zone(only_e_bikes, [(150, 100)] * 4, class_id=1)] == [ObjectLabel.E_BIKE]


def test_a_short_absence_inside_is_one_stay() -> None:
    said = in_zone(HALF, [(150, 100)] * 5 + [None] * 6 + [(150, 100)] * 5)
    assert [o.phase for o in said].count(TrackPhase.ENTERED) == 1
    assert TrackPhase.LEFT not in {o.phase for o in said}


def test_a_camera_that_looks_down_uses_the_centre() -> None:
    upper = Zone("lift", ((0.0, 0.0), (1.0, 0.0), (1.0, 0.4), (0.0, 0.4)), anchor=Anchor.CENTRE)
    assert in_zone(upper, [(100, 100)] * 5)[0].phase is TrackPhase.ENTERED  # foot at 100, centre at 70
    assert in_zone(Zone("lift", upper.polygon), [(100, 100)] * 5) == []


def passages(line: Line, path: list[tuple[float, float]], *, class_id: int = 0) -> list[LinePassed]:
    watch = LineWatch(line, CLASSES)
    return [
        p
        for n, foot in enumerate(path)
        for p in watch.update(tracks((3, *foot), class_id=class_id), n * 200, WIDTH, HEIGHT)
    ]


DOWN = [(100.0, 60.0 + 10 * n) for n in range(10)]


def test_crossing_from_left_to_right_goes_in_and_back_goes_out() -> None:
    said = passages(DOOR, DOWN + DOWN[::-1])
    assert [p.direction for p in said] == [Direction.IN, Direction.OUT]
    assert {(p.place_id, p.track_id) for p in said} == {("door", 3)}
    turned = Line("door", DOOR.start, DOOR.end, in_is=Direction.OUT)
    assert [p.direction for p in passages(turned, DOWN)] == [Direction.OUT]


@pytest.mark.parametrize(
    ("why", "path"),
    [
        ("standing on the line", [(100.0, 100.0 + 2 * (-1) ** n) for n in range(30)]),
        ("coming near and going back", [(100.0, y) for y in (60, 80, 95, 99, 80, 60)]),
        ("walking around its end", [(10.0, 60.0), (10.0, 80.0), (10.0, 120.0), (10.0, 140.0)]),
        ("already beyond", [(100.0, 140.0 + n) for n in range(10)]),
    ],
)
def test_who_does_not_cross_is_not_counted(why: str, path: list[tuple[float, float]]) -> None:
    assert passages(DOOR, path) == [], why


def test_only_people_pass() -> None:
    assert passages(DOOR, DOWN, class_id=1) == []


def test_a_fast_walker_who_jumps_over_the_line_is_counted_once() -> None:
    assert len(passages(DOOR, [(90.0, 60.0), (110.0, 140.0), (112.0, 150.0)])) == 1


def test_two_people_are_two_passages() -> None:
    watch, said = LineWatch(DOOR, CLASSES), []
    for n, (x, y) in enumerate(DOWN):
        said += watch.update(tracks((1, x - 30, y), (2, x + 30, y)), n * 200, WIDTH, HEIGHT)
    assert sorted(p.track_id for p in said) == [1, 2]


def test_geometry_of_sides_and_cuts() -> None:
    assert [clear_side((5, y), (0, 5), (10, 5), 1) for y in (9, 5.5, 1)] == [1, 0, -1]
    assert cuts((5, 0), (5, 10), (0, 5), (10, 5))
    assert not cuts((20, 0), (20, 10), (0, 5), (10, 5))
