from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.vision.detection.detections import Detections, detections
from detectors.vision.tracking.kalman import BoxFilter
from detectors.vision.tracking.tracker import Tracker, TrackerConfig
from tests.edge.factories import person_box, seen

STEP_MS = 200


def walk(tracker: Tracker, positions: list[tuple[float, float]], start_ms: int = 0) -> list[Detections]:
    return [tracker.update(seen(person_box(*position)), start_ms + n * STEP_MS) for n, position in enumerate(positions)]


def test_a_walker_at_five_pictures_a_second_is_one_track() -> None:
    tracks = walk(Tracker(), [(20 + 14 * n, 100) for n in range(20)])
    assert {int(i) for t in tracks for i in t.track_id} == {1}
    assert len(tracks[-1]) == 1


def test_a_ghost_in_a_single_picture_is_no_track() -> None:
    tracker = Tracker()
    assert len(tracker.update(seen(person_box(50, 100)), 0)) == 0
    assert [len(tracker.update(seen(), n * STEP_MS)) for n in range(1, 5)] == [0, 0, 0, 0]


def test_a_short_absence_keeps_the_track_and_a_long_one_begins_another() -> None:
    tracker = Tracker()
    walk(tracker, [(50, 100)] * 5)
    assert walk(tracker, [(50, 100)] * 3, start_ms=2000)[-1].track_id.tolist() == [1]
    assert walk(tracker, [(50, 100)] * 3, start_ms=8000)[-1].track_id.tolist() == [2]


def test_two_people_passing_each_other_apart_keep_their_ids() -> None:
    tracker = Tracker()
    for n in range(20):
        tracks = tracker.update(seen(person_box(20 + 12 * n, 100), person_box(260 - 12 * n, 180)), n * STEP_MS)
    by_foot = {int(box[3]): int(i) for box, i in zip(tracks.xyxy, tracks.track_id, strict=True)}
    assert by_foot == {100: 1, 180: 2}


def test_weak_detections_continue_a_track_but_begin_none() -> None:
    tracker = Tracker()
    walk(tracker, [(50, 100)] * 3)
    assert tracker.update(seen(person_box(52, 100), score=0.2), 600).track_id.tolist() == [1]
    fresh = Tracker()
    assert [len(fresh.update(seen(person_box(50, 100), score=0.2), n * STEP_MS)) for n in range(5)] == [0] * 5


def test_a_bicycle_that_turns_out_an_e_bike_stays_one_track_without_its_rider() -> None:
    person, bicycle, e_bike = 0, 1, 2
    tracker = Tracker((0, 1, 1))
    box = (40.0, 40.0, 80.0, 100.0)
    classes = [bicycle, bicycle, e_bike, e_bike, e_bike, e_bike]
    tracks = [tracker.update(detections([box], [0.9], [c]), n * STEP_MS) for n, c in enumerate(classes)]
    assert {int(i) for t in tracks for i in t.track_id} == {1}
    assert tracks[-1].class_id.tolist() == [e_bike]
    with_person = tracker.update(detections([box], [0.9], [person]), 1200)
    assert 1 not in with_person.track_id.tolist()


def test_first_id_numbers_tracks_from_there() -> None:
    assert walk(Tracker(first_id=1_700), [(50, 100)] * 3)[-1].track_id.tolist() == [1_700]


def test_the_filter_expects_a_steady_walker_where_he_will_be() -> None:
    box = np.asarray(person_box(0, 100), np.float32)
    kalman = BoxFilter(box, 0)
    for n in range(1, 10):
        kalman.update(box + np.float32(10 * n) * np.asarray([1, 0, 1, 0], np.float32), n * STEP_MS)
    expected = kalman.predicted(10 * STEP_MS)
    assert abs(float(expected[0] + expected[2]) / 2 - 100) < 4
    assert float(expected[3]) == pytest.approx(100, abs=1)


boxes = st.lists(
    st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(0, 300), st.floats(0, 300), st.floats(0, 1)),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(pictures=st.lists(boxes, max_size=12), steps=st.lists(st.integers(1, 3000), min_size=12, max_size=12))
def test_whatever_the_detector_says_ids_are_unique_boxes_finite_and_memory_bounded(
    pictures: list[list[tuple[float, float, float, float, float]]], steps: list[int]
) -> None:
    tracker, now = Tracker(config=TrackerConfig(confirm_ms=0)), 0
    for picture, step in zip(pictures, steps, strict=False):
        now += step
        found = detections(
            [(x, y, x + w, y + h) for x, y, w, h, _ in picture], [p[4] for p in picture], [0] * len(picture)
        )
        tracks = tracker.update(found, now)
        assert len(set(tracks.track_id.tolist())) == len(tracks) <= len(picture)
        assert np.isfinite(tracks.xyxy).all()
    tracker.update(seen(), now + 60_000)
    assert tracker._tracks == []
