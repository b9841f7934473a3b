"""Rendered scenes: the same every time, and what they say is true is what is in the picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from contracts.errors import Permanent
from contracts.events import ObjectLabel
from simulator.scenes.catalogue import SCENES, make_scene
from simulator.scenes.truth import Labelled, read_truth, write_truth
from simulator.scenes.writer import frame_times_ms, write_scene

NAMES = tuple(SCENES)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_pixels_and_truth(name: str) -> None:
    first, second = make_scene(name, 3, 20), make_scene(name, 3, 20)
    for t_ms in (9_000, 2_000, 9_000):  # and in any order
        assert np.array_equal(first.render(t_ms), second.render(t_ms))
        assert first.truth(t_ms) == second.truth(t_ms)
    assert first.episodes == second.episodes


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_another_scene(name: str) -> None:
    assert not np.array_equal(make_scene(name, 3, 20).render(0), make_scene(name, 4, 20).render(0))
    assert make_scene(name, 3, 20).episodes != make_scene(name, 4, 20).episodes


@pytest.mark.parametrize("name", ["lift", "lobby", "gate"])
def test_boxes_are_where_the_picture_differs_from_the_empty_room(name: str) -> None:
    scene, checked = make_scene(name, 5, 40), 0
    for episode in scene.episodes:
        t_ms = (episode.from_ms + episode.to_ms) // 2
        boxes = scene.truth(t_ms)
        changed = _changed(_smooth(scene.render(t_ms)), _smooth(_empty(name, scene.seed, t_ms)))
        assert _share_outside(changed, boxes) < 0.2  # shadows
        for box in boxes:
            if box.visible > 0.6:
                _assert_filled(changed, box)
                checked += 1
    assert checked >= 3


@pytest.mark.parametrize("name", NAMES)
def test_boxes_lie_in_the_picture_and_use_the_words_of_the_contract(name: str) -> None:
    scene, seen = make_scene(name, 2, 30), 0
    for t_ms in list(frame_times_ms(scene))[::7]:
        for box in scene.truth(t_ms):
            x0, y0, x1, y1 = box.box_xyxy
            assert 0 <= x0 < x1 <= scene.width and 0 <= y0 < y1 <= scene.height
            assert box.label in set(ObjectLabel)
            assert 0 < box.visible <= 1.3
            seen += 1
    assert seen > 5


def test_a_lift_ride_has_an_e_bike_among_the_first_two_and_empty_moments_between() -> None:
    for seed in range(6):
        scene = make_scene("lift", seed, 40)
        assert any(ObjectLabel.E_BIKE in episode.labels for episode in scene.episodes[:2])
        assert scene.truth(0) == () == scene.truth(scene.duration_ms - 100)
        gap_ms = (scene.episodes[0].to_ms + scene.episodes[1].from_ms) // 2
        assert scene.truth(gap_ms) == ()


def test_a_cast_limits_what_comes_in() -> None:
    allowed = (ObjectLabel.WHEELCHAIR, ObjectLabel.PRAM)
    for name in ("lift", "lobby"):
        labels = {label for episode in make_scene(name, 8, 60, allowed).episodes for label in episode.labels}
        assert labels and labels <= {*allowed, ObjectLabel.PERSON}


def test_passages_cross_the_line_when_they_say() -> None:
    scene = make_scene("gate", 4, 40)
    assert scene.line_xyxy is not None
    row = (scene.line_xyxy[1] + scene.line_xyxy[3]) / 2
    for episode in scene.episodes:
        cross_ms, inward = round(episode.facts["cross_ms"]), episode.facts["inward"] == 1
        before, after = (_foot(scene.truth(cross_ms + dt), episode.object_ids[0]) for dt in (-700, 700))
        assert (before < row < after) if inward else (after < row < before)
    assert any(episode.facts["tailgating"] for seed in range(3) for episode in make_scene("gate", seed, 60).episodes)


def test_things_in_the_cabin_stand_in_its_zone_and_the_landing_lies_outside() -> None:
    scene = make_scene("lift", 3, 40)
    zone = np.array(scene.zone_xy, np.float32)
    ride = scene.episodes[0]
    riding, arriving = scene.truth((ride.from_ms + ride.to_ms) // 2), scene.truth(ride.from_ms + 100)
    assert riding and all(_stands_in(zone, box) for box in riding)
    assert arriving and not any(_stands_in(zone, box) for box in arriving)


def test_a_written_scene_reads_back_frame_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "lift.mp4"
    truth = write_scene("lift", 1, 6, path)
    video, count = cv2.VideoCapture(str(path)), 0
    while video.read()[0]:
        count += 1
    assert count == len(truth.frames) == 60
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(truth.fps)
    write_truth(truth, tmp_path / "t.jsonl")
    assert read_truth(tmp_path / "t.jsonl") == truth


def test_wrong_names_lengths_casts_and_folders_are_refused(tmp_path: Path) -> None:
    for name, seconds, cast in (("attic", 20, ()), ("lift", 1, ()), ("gate", 20, (ObjectLabel.PRAM,))):
        with pytest.raises(ValueError, match="scene"):
            make_scene(name, 1, seconds, cast)
    with pytest.raises(Permanent, match="cannot write"):
        write_scene("lift", 1, 6, tmp_path / "nowhere" / "lift.mp4")


def _empty(name: str, seed: int, t_ms: int) -> np.ndarray:
    scene = make_scene(name, seed, 40)
    scene.parties = []  # type: ignore[attr-defined]
    return scene.render(t_ms)


def _assert_filled(changed: np.ndarray, box: Labelled) -> None:
    """Much of the box differs from the empty room, also its left and right quarters."""
    x0, y0, x1, y1 = (round(side) for side in box.box_xyxy)
    inside, quarter = changed[y0:y1, x0:x1], max(3, (x1 - x0) // 4)
    assert inside.mean() > 0.15, box
    assert inside[:, :quarter].any() and inside[:, -quarter:].any(), box


def _smooth(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.int16)


def _changed(image: np.ndarray, empty: np.ndarray) -> np.ndarray:
    changed: np.ndarray = np.abs(image - empty).max(axis=2) > 22
    return changed


def _share_outside(changed: np.ndarray, boxes: tuple[Labelled, ...]) -> float:
    """The share of changed pixels that no box covers (shadows are soft and stay mostly below the limit)."""
    rest = changed.copy()
    for box in boxes:
        x0, y0, x1, y1 = (round(side) for side in box.box_xyxy)
        rest[max(0, y0 - 4) : y1 + 4, max(0, x0 - 4) : x1 + 4] = False
    return float(rest.sum() / max(1, changed.sum()))


def _foot(boxes: tuple[Labelled, ...], object_id: int) -> float:
    return next(box.box_xyxy[3] for box in boxes if box.object_id == object_id)


def _stands_in(zone: np.ndarray, box: Labelled) -> bool:
    x0, _, x1, y1 = box.box_xyxy
    return cv2.pointPolygonTest(zone, ((x0 + x1) / 2, y1), measureDist=False) >= 0
