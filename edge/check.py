"""Whether a box could run: its models, and the files that its configuration names. Writes nothing."""

from __future__ import annotations

from pathlib import Path

from edge.config import EdgeConfig
from edge.inference.analysers import build_analysers
from edge.inference.manifest import load_model
from edge.inference.onnx import OnnxDetector
from edge.uplink.mqtt import read_password
from edge.uplink.upload import read_token


def check_box(config: EdgeConfig) -> None:
    """Load and run every model once, and read every secret.

    Raises:
        ConfigurationError: when a manifest, a model file, a password or a token is not usable.
        Permanent: when a model is not what its manifest says, or its outputs are not of its family.
    """
    read_password(config.mqtt)
    if config.console.url:
        read_token(Path(config.console.token_file))
    for camera in config.camera:
        model = load_model(Path(camera.model)) if camera.needs_detector else None
        if model is not None:
            OnnxDetector(model, min_score=camera.min_score).try_out()
        build_analysers(camera, model=model, make_detector=lambda one, score: OnnxDetector(one, min_score=score))
