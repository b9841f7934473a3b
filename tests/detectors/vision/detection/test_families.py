"""Every decoder family: a tensor made by hand is read, wrong ones are refused, and nothing is forgotten."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import ConfigurationError
from detectors.vision.detection.decoder import Shape
from detectors.vision.detection.detections import Floats
from detectors.vision.detection.families import DECODERS, decoder_of
from tests.detectors.vision.detection.families import CLASSES, DOCS, MADE, SIZE, missing

_ROOT = Path(__file__).resolve().parents[4]
_PACKAGE = "detectors.vision.detection"


def shapes_of(outputs: list[Floats]) -> list[Shape]:
    return [output.shape for output in outputs]


def test_no_family_lacks_a_tensor_made_by_hand_or_its_row_in_the_docs() -> None:
    assert missing(DECODERS, MADE, (_ROOT / DOCS).read_text(encoding="utf-8")) == []


def test_every_module_that_decodes_is_a_family() -> None:
    there = [import_module(f"{_PACKAGE}.{file.stem}") for file in (_ROOT / _PACKAGE.replace(".", "/")).glob("*.py")]
    forgotten = [module.__name__ for module in there if hasattr(module, "decode") and module not in DECODERS.values()]
    assert not forgotten, f"DECODERS in {_PACKAGE}.families has no line for {forgotten}"


def test_every_family_has_tests_of_what_is_special_about_it() -> None:
    names = {str(getattr(decoder, "__name__", "")).rpartition(".")[2] for decoder in DECODERS.values()}
    missing = sorted(name for name in names if not Path(__file__).with_name(f"test_{name}.py").is_file())
    assert missing == [], "tests/detectors/vision/detection: no test_NAME.py for these modules"


def test_a_planted_family_is_told_what_it_lacks() -> None:
    assert missing(["ssd"], [], "| `yolox` |") == [
        "family ssd has no tensor made by hand in tests.detectors.vision.detection.families.MADE",
        "docs/edge.md has no row `ssd` in its table of families",
    ]
    assert missing([], ["ssd"], "") == ["ssd is made by hand, but no decoder family"]


@pytest.mark.parametrize(("name", "says"), [("yoloxx", "did you mean 'yolox'"), ("ssd", ", ".join(sorted(DECODERS)))])
def test_an_unknown_family_falls_through_to_no_other(name: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"family '{name}' is unknown: .*{says}"):
        decoder_of(name)


@pytest.mark.parametrize("name", DECODERS)
def test_a_tensor_made_by_hand_is_read(name: str) -> None:
    made, decoder = MADE[name], DECODERS[name]
    tensor, fit = decoder.prepare(np.zeros((SIZE, SIZE, 3), np.uint8), SIZE, SIZE)
    assert tensor.shape == (1, 3, SIZE, SIZE)
    assert tensor.dtype == np.float32
    found = decoder.decode(made.outputs, SIZE, SIZE, fit, classes=CLASSES, min_score=0.5)
    assert found.class_id.tolist() == [made.class_id]
    assert found.score.tolist() == pytest.approx([made.score])
    assert found.xyxy[0].tolist() == pytest.approx(made.xyxy, abs=1e-3)


@pytest.mark.parametrize("name", DECODERS)
def test_boxes_come_back_in_pixels_of_a_picture_twice_as_large(name: str) -> None:
    made, decoder = MADE[name], DECODERS[name]
    _, fit = decoder.prepare(np.zeros((2 * SIZE, 2 * SIZE, 3), np.uint8), SIZE, SIZE)
    found = decoder.decode(made.outputs, SIZE, SIZE, fit, classes=CLASSES, min_score=0.5)
    assert found.xyxy[0].tolist() == pytest.approx([2 * side for side in made.xyxy], abs=1e-3)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_makes_no_box_and_no_score_of_its_kind(name: str, value: float) -> None:
    made, decoder = MADE[name], DECODERS[name]
    _, fit = decoder.prepare(np.zeros((SIZE, SIZE, 3), np.uint8), SIZE, SIZE)
    for nth, output in enumerate(made.outputs):
        for place in np.argwhere(output != 0):
            outputs = [one.copy() for one in made.outputs]
            outputs[nth][tuple(place)] = value
            with np.errstate(all="ignore"):
                found = decoder.decode(outputs, SIZE, SIZE, fit, classes=CLASSES, min_score=0.5)
            assert np.isfinite(found.xyxy).all(), f"{name}, {value} at {place} of output {nth}"
            assert np.isfinite(found.score).all(), f"{name}, {value} at {place} of output {nth}"


@pytest.mark.parametrize("name", DECODERS)
def test_the_shapes_of_a_good_model_pass_and_free_dimensions_too(name: str) -> None:
    shapes = shapes_of(MADE[name].outputs)
    DECODERS[name].check_outputs(shapes, SIZE, SIZE, classes=CLASSES)
    DECODERS[name].check_outputs([(None, None, shape[-1]) for shape in shapes], SIZE, SIZE, classes=CLASSES)
    DECODERS[name].check_outputs([(None,) * len(shape) for shape in shapes], SIZE, SIZE, classes=CLASSES)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("fault", ["one more", "none", "a cell less", "another class", "flat"])
def test_wrong_tensors_are_refused_and_what_was_expected_is_said(name: str, fault: str) -> None:
    outputs, classes = list(MADE[name].outputs), CLASSES
    match fault:
        case "one more":
            outputs.append(np.zeros((1, 9, 9), np.float32))
        case "none":
            outputs = []
        case "a cell less":
            outputs[-1] = outputs[-1][:, 1:]
        case "another class":
            classes += 1
        case _:
            outputs[0] = outputs[0].reshape(-1)
    decoder = DECODERS[name]
    _, fit = decoder.prepare(np.zeros((SIZE, SIZE, 3), np.uint8), SIZE, SIZE)
    with pytest.raises(ValueError, match="expected"):
        decoder.check_outputs(shapes_of(outputs), SIZE, SIZE, classes=classes)
    with pytest.raises(ValueError, match="expected"):
        decoder.decode(outputs, SIZE, SIZE, fit, classes=classes, min_score=0.5)
