"""A model that cannot be read is refused with one sentence and exit code 1; a check of a box writes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.main import main
from contracts.errors import Permanent
from edge.inference.model_check import check_model
from tests.edge.onnx_file import write_model

CELLS = 84  # of 64 × 64 at the strides 8, 16 and 32
RAW = np.zeros((1, CELLS, 7), np.float32)


def _filled(columns: slice, value: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    table = RAW.copy()
    table[:, :, columns] = value
    return table


def _decoded() -> np.ndarray[Any, np.dtype[np.float32]]:
    table = RAW.copy()
    table[0, :, 0] = np.linspace(4, 60, CELLS)
    table[0, :, 1] = np.linspace(60, 4, CELLS)
    table[0, :, 2:4] = 20
    return table


def _linli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a ``linli`` command."""
    monkeypatch.setattr(sys, "argv", ["linli", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


CANNOT = {
    "boxes that are decoded": ({"table": _decoded()}, "without decoding its boxes"),
    "scores before the sigmoid": ({"table": _filled(slice(4, 7), -4.0)}, "scores from -4 to -4: expected 0 to 1"),
    "scores that are NaN": ({"table": _filled(slice(4, 7), np.nan)}, "are no finite numbers"),
    "boxes that are NaN": ({"table": _filled(slice(0, 4), np.nan)}, "boxes are no finite numbers"),
    "scores that are infinite": ({"table": _filled(slice(4, 5), np.inf)}, "are no finite numbers"),
    "half the precision in": ({"table": RAW, "input_type": "float16"}, "'images' is tensor(float16)"),
    "half the precision out": ({"table": RAW, "output_type": "float16"}, "'output' is tensor(float16)"),
    "bytes": ({"table": RAW, "input_type": "uint8"}, "'images' is tensor(uint8)"),
    "colours last": ({"table": RAW, "input_shape": (1, 64, 64, 3)}, "colours last (NHWC)"),
    "suppressed and padded": ({"table": RAW, "by_picture": 0.0}, "it says the same of every picture"),
    "other classes": ({"table": RAW, "labels": ("person",)}, "1 labels and 5"),
    "features first": ({"table": RAW.transpose(0, 2, 1)}, "outputs [(1, 7, 84)]"),
    "four pictures at once": ({"table": np.repeat(RAW, 4, axis=0)}, "outputs [(4, 84, 7)]"),
}


@pytest.mark.parametrize(("model", "sentence"), CANNOT.values(), ids=CANNOT)
def test_a_model_that_cannot_be_read_is_refused_in_one_sentence(
    model: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_model(tmp_path, **model)
    with pytest.raises(Permanent) as caught:
        check_model(manifest)
    said = str(caught.value)
    assert said.startswith("model m: ")
    assert sentence in said
    assert "\n" not in said
    assert _linli(monkeypatch, "models", "check", str(manifest)) == 1


def test_a_model_whose_outputs_are_its_familys_is_taken(tmp_path: Path) -> None:
    assert check_model(write_model(tmp_path, RAW)).startswith("m: ok, yolox, 64×64, 2 labels")


def _box(folder: Path, manifest: Path) -> Path:
    (folder / "film.mp4").write_bytes(b"a film")
    path = folder / "box.toml"
    path.write_text(
        '[box]\nid = "b1"\nsite = "s1"\ndata = "data"\n[[camera]]\nid = "c1"\nsource = "film.mp4"\n'
        f'analysers = ["object_zones"]\nmodel = "{manifest.name}"\n'
        '[[camera.zone]]\nplace_id = "lift-1"\npolygon = [[0, 0], [1, 0], [1, 1]]\n'
    )
    return path


@pytest.mark.parametrize(("table", "code"), [(RAW, 0), (_decoded(), 1)], ids=["good", "decoded"])
def test_a_check_of_a_box_runs_its_models_and_writes_nothing(
    table: Any, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _box(tmp_path, write_model(tmp_path, table))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert _linli(monkeypatch, "edge", "run", "--config", str(config), "--check") == code
    assert sorted(path.name for path in tmp_path.iterdir()) == before
