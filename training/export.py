"""Trained weights to ONNX with its manifest: ``python -m training.export --measured "…"``."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import onnx
import torch

from training.labels import HEIGHT, LABELS, WIDTH
from training.net import Detector, Exported

OPSET = 17


def main() -> None:
    """Export with batch 1 and fixed size, check the file, write the manifest beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path(".cache/demo_scenes.pt"))
    parser.add_argument("--out", type=Path, default=Path("edge/models/demo_scenes.onnx"))
    parser.add_argument("--measured", required=True, help="one line: what evaluate.py found")
    options = parser.parse_args()
    export(options.weights, options.out)
    onnx.checker.check_model(onnx.load(str(options.out)))
    options.out.with_suffix(".toml").write_text(manifest_of(options.out, options.measured), encoding="utf-8")
    print(f"{options.out}: {options.out.stat().st_size} bytes")


def export(weights: Path, out: Path) -> None:
    """Write the model with ``images`` (1, 3, H, W) in and ``output`` (1, cells, 5 + C) out."""
    detector = Detector()
    detector.load_state_dict(torch.load(weights, weights_only=True))
    model = Exported(detector).eval()
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, HEIGHT, WIDTH),),
        str(out),
        input_names=["images"],
        output_names=["output"],
        opset_version=OPSET,
        dynamo=False,
    )


def manifest_of(model: Path, measured: str) -> str:
    """Return the manifest's text."""
    labels = ", ".join(f'"{label}"' for label in LABELS)
    return f"""\
name = "{model.stem}"
file = "{model.name}"
url = ""  # shipped with the project
sha256 = "{hashlib.sha256(model.read_bytes()).hexdigest()}"
licence = "Apache-2.0"
source = "trained from nothing on rendered scenes by training/ (recipe: training/README.md)"
measured = "{measured}"
family = "yolox"
demo_only = true
labels = [{labels}]

[input]
name = "images"
width = {WIDTH}
height = {HEIGHT}
"""


if __name__ == "__main__":
    main()
