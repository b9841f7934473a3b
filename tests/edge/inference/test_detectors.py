from __future__ import annotations

from pathlib import Path

import pytest

from detectors.vision.detection.boxes import iou
from detectors.vision.detection.detections import detections
from edge.capture.capture import read_video
from edge.inference.manifest import load_model
from edge.inference.onnx import OnnxDetector
from tests.edge.models import shared_manifest
from tests.support.shared import need_shared


@pytest.mark.parametrize("name", ["yolox_nano_416", "picodet_s_320", "nanodet_m_416", "person_192"])
def test_public_models_find_the_people_of_a_street(name: str, tmp_path: Path) -> None:
    video = need_shared("clips/negatives/vtest_480x360.mp4")
    model = load_model(shared_manifest(name, tmp_path))
    frame = next(f for n, f in enumerate(read_video(video)) if n == 50)
    found = OnnxDetector(model, min_score=0.5).detect(frame.image)
    people = found.where(found.class_id == model.manifest.labels.index("person"))
    standing = detections([(319, 136, 345, 194), (425, 160, 451, 232), (232, 111, 251, 161)], [1] * 3, [0] * 3)
    assert (iou(standing.xyxy, people.xyxy).max(axis=1) > 0.5).all()
    assert len(people) <= 12
