"""The shipped demo model is the file its manifest names, and does its one job on scenes it never saw."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import edge
from contracts.events import ObjectLabel
from edge.inference.manifest import load_manifest, load_model
from edge.inference.onnx import OnnxDetector
from simulator.scenes.catalogue import make_scene
from training.labels import HEIGHT, LABELS, WIDTH

MANIFEST = Path(edge.__file__).parent / "models" / "demo_scenes.toml"
MIN_SCORE = 0.4  # a camera's default
UNSEEN_SEED = 2_000_000  # training takes seeds from 0, its evaluation from 1,000,000
MAX_BYTES = 4_000_000


@pytest.fixture(scope="module")
def detector() -> OnnxDetector:
    return OnnxDetector(load_model(MANIFEST), min_score=MIN_SCORE)


def test_the_model_file_is_the_one_its_manifest_names_and_small() -> None:
    manifest = load_manifest(MANIFEST)
    data = (MANIFEST.parent / manifest.file).read_bytes()
    assert hashlib.sha256(data).hexdigest() == manifest.sha256
    assert len(data) <= MAX_BYTES
    assert manifest.demo_only
    assert manifest.classes() == LABELS
    assert (manifest.input.width, manifest.input.height) == (WIDTH, HEIGHT)


def test_an_e_bike_in_an_unseen_lift_is_found_in_most_frames(detector: OnnxDetector) -> None:
    for seed in range(UNSEEN_SEED, UNSEEN_SEED + 3):
        assert _share_with(detector, seed, ObjectLabel.E_BIKE, ObjectLabel.E_BIKE) >= 0.8


@pytest.mark.parametrize("label", [ObjectLabel.WHEELCHAIR, ObjectLabel.PRAM, ObjectLabel.BICYCLE])
def test_what_is_no_e_bike_is_not_taken_for_one(detector: OnnxDetector, label: ObjectLabel) -> None:
    for seed in range(UNSEEN_SEED, UNSEEN_SEED + 3):
        assert _share_with(detector, seed, label, ObjectLabel.E_BIKE) <= 0.1


def _share_with(detector: OnnxDetector, seed: int, cast: ObjectLabel, wanted: ObjectLabel) -> float:
    """The share of looks in which ``wanted`` is claimed, while a ride of ``cast`` stands in the lift."""
    scene = make_scene("lift", seed, 24, (cast,))
    classes = load_manifest(MANIFEST).classes()
    ride = scene.episodes[0]
    looks = range(ride.from_ms + 3000, ride.to_ms - 3000, 400)
    claims = [wanted in {classes[int(i)] for i in detector.detect(scene.render(t_ms)).class_id} for t_ms in looks]
    return sum(claims) / len(claims)
