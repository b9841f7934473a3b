"""Nobody is readable on a picture that is kept: however fast they go, however seldom the detector looks or sees."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from contracts.events import ObjectLabel
from detectors.vision.detection.detections import Detections, Image, detections
from detectors.vision.geometry.shapes import Zone
from detectors.vision.tracking.object_analyser import FollowingAnalyser
from edge.camera import AnalyserName, CameraConfig
from edge.capture.capture import Frame, read_video
from edge.capture.ring import MAX_WIDTH_PX, FrameRing, Snapshot, decode_jpeg, shrunk
from edge.inference.analysers import AnalyserSet, build_analysers
from edge.inference.manifest import load_model
from edge.inference.onnx import OnnxDetector
from edge.inference.pipeline import Pipeline
from tests.edge.models import shared_manifest
from tests.support.shared import need_shared

WIDTH, HEIGHT = 640, 360
PERSON_WIDTH, PERSON_HEIGHT = 30, 100
FRAME_MS = 40
STRIPES = np.repeat(np.random.default_rng(0).integers(0, 2, (PERSON_HEIGHT, 1, 1)) * 255, PERSON_WIDTH, axis=1)
SOMEONE: Image = STRIPES.repeat(3, axis=2).astype(np.uint8)  # the finest detail there is, in every column
HALL = Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
Place = Callable[[int], tuple[int, int]]


class Eye:
    """Sees the person where it is told that they are; blind at every ``misses``-th look (0: never)."""

    def __init__(self, misses: int) -> None:
        self.at: tuple[int, int] = (-999, 0)
        self._misses, self._looks = misses, 0

    def detect(self, frame: Image) -> Detections:
        self._looks += 1
        x, y = self.at
        if not _in_picture(x, y) or (self._misses and self._looks % self._misses == 0):
            return detections([], [], [])
        return detections([(x, y, x + PERSON_WIDTH, y + PERSON_HEIGHT)], [0.9], [0])


def _in_picture(x: int, y: int) -> bool:
    return 0 <= x <= WIDTH - PERSON_WIDTH and 0 <= y <= HEIGHT - PERSON_HEIGHT


def _readable(kept: Snapshot, x: int, y: int) -> float:
    """The share of the person's columns that still carry their finest detail."""
    person = decode_jpeg(kept.jpeg)[y : y + PERSON_HEIGHT, x : x + PERSON_WIDTH, 1].astype(int)
    return float((np.abs(np.diff(person, axis=0)).mean(axis=0) > 40).mean())


def kept_of(place: Place, *, looks_per_s: float, misses: int = 0, seconds: int = 8) -> list[tuple[int, float]]:
    """(time, readable share) of every picture that was kept while the person was in it."""
    eye, ring = Eye(misses), FrameRing()
    following = FollowingAnalyser(
        eye, (ObjectLabel.PERSON,), zones=(HALL,), lines=(), interval_ms=round(1000 / looks_per_s)
    )
    pipeline = Pipeline(lambda _first: AnalyserSet((following,), following), (), ring)
    places = {}
    for at_ms in range(1_000, 1_000 + seconds * 1000, FRAME_MS):
        x, y = eye.at = place(at_ms - 1_000)
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        if _in_picture(x, y):
            picture[y : y + PERSON_HEIGHT, x : x + PERSON_WIDTH] = SOMEONE
            places[at_ms] = (x, y)
        pipeline.process(Frame(picture, at_ms))
    return [(s.at_ms, _readable(s, *places[s.at_ms])) for s in ring.between(0, 10**9) if s.at_ms in places]


def across(speed: float) -> Place:
    return lambda at_ms: (int(-60 + speed * at_ms / 1000), 150)


@pytest.mark.parametrize("looks_per_s", [0.5, 1, 2, 5, 12])
@pytest.mark.parametrize("speed", [40, 100, 250, 600])
def test_who_walks_or_runs_through_is_not_readable(looks_per_s: float, speed: float) -> None:
    kept = kept_of(across(speed), looks_per_s=looks_per_s)
    assert [one for one in kept if one[1] > 0.1] == []
    assert kept or looks_per_s * 700 / speed < 4


@pytest.mark.parametrize("misses", [2, 3, 5])
@pytest.mark.parametrize("speed", [20, 60, 120])
def test_who_is_missed_by_some_looks_is_not_readable(misses: int, speed: float) -> None:
    kept = kept_of(across(speed), looks_per_s=5, misses=misses)
    assert len(kept) >= 15
    assert [one for one in kept if one[1] > 0.1] == []


def test_who_turns_round_while_the_detector_misses_them_is_not_readable() -> None:
    def place(at_ms: int) -> tuple[int, int]:
        return 300 - abs(at_ms % 2_400 - 1_200) // 12, 100 + abs(at_ms % 1_600 - 800) // 16

    kept = kept_of(place, looks_per_s=5, misses=3)
    assert len(kept) == 39
    assert [one for one in kept if one[1] > 0.1] == []


def test_a_camera_that_only_watches_for_falls_keeps_fifteen_pictures_a_second() -> None:
    ring = FrameRing()
    camera = CameraConfig(id="c1", analysers=(AnalyserName.HIGH_ALTITUDE_THROW,))
    pipeline = Pipeline(lambda _first: build_analysers(camera, model=None, make_detector=_no_detector), (), ring)
    for at_ms in range(0, 2_000, 33):
        pipeline.process(Frame(np.full((48, 64, 3), 90, np.uint8), 1_000 + at_ms))
    assert len(ring.between(0, 10_000)) == 31


def _no_detector(*_: object) -> OnnxDetector:
    raise AssertionError("a camera for falls alone has no detector")


class Faces:
    """Finds faces by a model of its own, which knows nothing of the box's."""

    def __init__(self, width: int, height: int) -> None:
        model = str(need_shared("models/yunet_n_320_320.onnx"))
        self._model = cv2.FaceDetectorYN.create(model, "", (width, height), 0.6, 0.3, 50)

    def of(self, picture: Image) -> npt.NDArray[np.float32]:
        """(N, 4) xyxy."""
        found: object = self._model.detect(picture)[1]  # None where there is no face
        rows = np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32)
        return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "from_ms", "to_ms"),
    [
        ("clips/gate/entrance_crowd_1080p.mp4", 0, 2_000),
        ("clips/gate/one-by-one-person-detection.mp4", 8_000, 22_000),
    ],
)
@pytest.mark.parametrize("looks_per_s", [1, 5])
def test_no_face_of_a_real_gate_is_found_on_pictures_that_are_kept(
    tmp_path: Path, clip: str, from_ms: int, to_ms: int, looks_per_s: float
) -> None:
    video, model = need_shared(clip), load_model(shared_manifest("yolox_nano_416", tmp_path))
    camera = CameraConfig(id="c1", analysers=(AnalyserName.OBJECT_ZONES,), detect_per_s=looks_per_s, zone=(HALL,))
    ring, taken = FrameRing(keep_ms=60_000), {}
    pipeline = Pipeline(
        lambda first: build_analysers(
            camera, model=model, make_detector=lambda m, score: OnnxDetector(m, min_score=score), first_track_id=first
        ),
        (),
        ring,
    )
    for frame in itertools.takewhile(lambda one: one.at_ms < to_ms, read_video(video)):
        if frame.at_ms > from_ms:
            taken[frame.at_ms] = shrunk(frame.image, MAX_WIDTH_PX)
            pipeline.process(frame)
    pictures = [(taken[kept.at_ms], decode_jpeg(kept.jpeg)) for kept in ring.between(0, to_ms)]
    faces = Faces(*pictures[0][1].shape[1::-1])
    assert sum(len(faces.of(before)) for before, _ in pictures) >= 1
    assert sum(len(faces.of(after)) for _, after in pictures) == 0
