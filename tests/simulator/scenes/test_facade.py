"""Falls before a rendered facade follow gravity in perspective; nothing else there does."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.events import ObjectLabel
from simulator.scenes.catalogue import make_scene
from simulator.scenes.facade import FacadeScene
from simulator.scenes.writer import frame_times_ms

G = 9.81


def test_a_fall_is_free_fall_seen_in_perspective() -> None:
    scene = FacadeScene(1, 40)
    assert scene.calibration is not None
    a, b, c = _perspective(scene)
    for fall in scene.falls:
        times = np.arange(fall.from_ms, fall.to_ms, 40)
        t = (times - fall.from_ms) / 1000
        s = fall.v0 * t + G * t * t / 2
        top = fall.height_m
        rows = np.array([scene.facade.pixel(*fall.where(float(t_ms)))[1] for t_ms in times])
        expected = (a + b * (top - s)) / (1 + c * (top - s))
        assert np.abs(rows - expected).max() < 0.5


def test_calibration_rows_are_the_slabs_drawn() -> None:
    scene = FacadeScene(2, 20)
    assert scene.calibration is not None
    edges, storey = scene.calibration.edges, scene.calibration.storey_m
    assert edges[0].row_px > edges[1].row_px > edges[2].row_px
    for low, high in ((edges[0], edges[1]), (edges[1], edges[2])):
        assert (high.height_m - low.height_m) / storey == pytest.approx(high.floor - low.floor, abs=0.01)


def test_every_fall_is_in_sight_for_two_storeys_and_several_pixels_large() -> None:
    for seed in range(12):
        scene = FacadeScene(seed, 40)
        assert len(scene.falls) >= 2
        for episode, fall in zip((e for e in scene.episodes if e.kind == "fall"), scene.falls, strict=True):
            assert episode.facts["drop_m"] >= 2 * scene.facade.storey_m
            assert episode.facts["start_floor"] >= episode.facts["floor"]
            assert fall.size_m * scene.facade.scale(fall.height_m) > 3


def test_a_falling_thing_changes_the_pixels_of_its_box_and_no_others() -> None:
    scene = FacadeScene(3, 40)
    fall = scene.falls[0]
    t_ms = (fall.from_ms + fall.to_ms) // 2
    with_it = scene.render(t_ms).astype(np.int16)
    boxes = [box for box in scene.truth(t_ms) if box.object_id == fall.object_id]
    scene.falls = []
    changed = np.abs(scene.render(t_ms).astype(np.int16) - with_it).max(axis=2) > 12
    x0, y0, x1, y1 = boxes[0].box_xyxy
    ys, xs = np.nonzero(changed)
    assert boxes[0].label is ObjectLabel.OTHER
    assert len(xs) > 8
    assert x0 - 4 <= xs.min() and xs.max() <= x1 + 4
    assert y0 - 8 <= ys.min() and ys.max() <= y1 + 4  # the open shutter draws it out upwards


def test_without_falls_only_distractors_are_left() -> None:
    scene = FacadeScene(1, 30, falls=False)
    kinds = {episode.kind for episode in scene.episodes}
    assert kinds <= {"bird", "insect", "leaf"} and kinds
    labels = {box.label for t_ms in list(frame_times_ms(scene))[::5] for box in scene.truth(t_ms)}
    assert labels <= {ObjectLabel.ANIMAL}


def test_a_looped_facade_has_no_jump_at_its_seam() -> None:
    scene = make_scene("facade", 6, 20)
    times = list(frame_times_ms(scene))
    first, second, last = (scene.render(t).astype(np.int16) for t in (times[0], times[1], times[-1]))
    assert np.abs(last - first).mean() < 1.3 * np.abs(second - first).mean() + 0.2


def _perspective(scene: FacadeScene) -> tuple[float, float, float]:
    """a, b, c of row = (a + b·h)/(1 + c·h) through the three calibrated edges."""
    assert scene.calibration is not None
    rows = np.array([edge.row_px for edge in scene.calibration.edges])
    heights = np.array([edge.height_m for edge in scene.calibration.edges])
    solved = np.linalg.solve(np.stack([np.ones(3), heights, -rows * heights], axis=1), rows)
    return float(solved[0]), float(solved[1]), float(solved[2])
