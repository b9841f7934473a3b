from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detectors.vision.detection import dfl, yolox
from detectors.vision.detection.boxes import iou, suppress
from detectors.vision.detection.detections import detections
from detectors.vision.detection.letterbox import Letterbox, letterbox
from edge.capture.capture import read_video
from edge.inference.manifest import load_model
from edge.inference.onnx import OnnxDetector
from tests.edge.models import shared_manifest
from tests.support.shared import need_shared

SIZE = 64


def empty_output(classes: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The output of a YOLOX of 64×64 that sees nothing: 64 + 16 + 4 cells."""
    return np.zeros((1, 84, 5 + classes), np.float32)


def fit(width: int = SIZE, height: int = SIZE) -> Letterbox:
    return yolox.prepare(np.zeros((height, width, 3), np.uint8), SIZE, SIZE)[1]


def test_a_yolox_cell_is_read_as_centre_and_size_of_its_stride() -> None:
    output = empty_output()
    output[0, 64 + 1 * 4 + 2] = [0.5, 0.25, np.log(2), np.log(1.5), 0.9, 0.1, 0.8, 0.3]  # stride 16, cell (2, 1)
    found = yolox.decode(output, SIZE, SIZE, fit(), min_score=0.3)
    assert found.class_id.tolist() == [1]
    assert found.score[0] == pytest.approx(0.72)
    assert found.xyxy[0].tolist() == pytest.approx([40 - 16, 20 - 12, 40 + 16, 20 + 12])


def test_boxes_come_back_in_the_picture_and_are_cut_to_it() -> None:
    output = empty_output()
    output[0, 80] = [0, 0, 1, 1, 1, 1, 0, 0]  # stride 32, cell (0, 0), e strides wide
    found = yolox.decode(output, SIZE, SIZE, fit(width=128, height=96), min_score=0.3)
    assert found.xyxy[0].tolist() == pytest.approx([0, 0, 32 * np.e, 32 * np.e], rel=1e-5)


def test_doubles_are_suppressed_per_class() -> None:
    box = (10, 10, 30, 30)
    found = suppress(
        detections([box, (11, 10, 31, 30), box, (60, 60, 90, 90)], [0.8, 0.9, 0.7, 0.6], [0, 0, 1, 0]), 0.45
    )
    assert [(round(float(s), 1), int(c)) for s, c in zip(found.score, found.class_id, strict=True)] == [
        (0.9, 0),
        (0.7, 1),
        (0.6, 0),
    ]


def test_nothing_comes_of_nan_infinity_and_an_empty_picture() -> None:
    output = empty_output()
    output[0, 0] = np.nan
    output[0, 1] = [0, 0, np.inf, 1e9, 1, 1, 0, 0]
    found = yolox.decode(output, SIZE, SIZE, fit(), min_score=0.3)
    assert len(found) == 1
    assert np.isfinite(found.xyxy).all()
    assert len(yolox.decode(empty_output(), SIZE, SIZE, fit(), min_score=0.3)) == 0


def test_a_tensor_of_another_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 85, 8\): expected \(1, 84"):
        yolox.decode(np.zeros((1, 85, 8), np.float32), SIZE, SIZE, fit(), min_score=0.3)
    with pytest.raises(ValueError, match="as many maps"):
        dfl.decode([np.zeros((64, 3), np.float32)], SIZE, SIZE, fit(), classes=3, min_score=0.3)


def test_letterbox_keeps_the_shape_and_goes_back() -> None:
    picture = np.full((50, 100, 3), 200, np.uint8)
    fitted, way = letterbox(picture, 64, 64, pad=114, centre=True)
    assert fitted.shape == (64, 64, 3)
    assert (fitted[:16] == 114).all()
    assert (fitted[16:48] == 200).all()
    back = way.back(np.asarray([[0, 16, 64, 48]], np.float32))
    assert back[0].tolist() == pytest.approx([0, 0, 100, 50])


def test_iou_of_known_boxes() -> None:
    a = np.asarray([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    b = np.asarray([[5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert iou(a, b) == pytest.approx(np.asarray([[1 / 3, 0], [0, 0]]))


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
