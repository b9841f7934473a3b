"""Whether a box could run: its models, the files that its configuration names, and its streams. Writes nothing."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import ConfigurationError
from edge.capture.address import redact_url
from edge.capture.video import probe
from edge.config import EdgeConfig
from edge.evidence.evidence_store import fault_of_folder
from edge.inference.analysers import build_analysers
from edge.inference.manifest import load_model
from edge.inference.onnx import OnnxDetector
from edge.inference.sight import stream_faults
from edge.uplink.mqtt import read_password
from edge.uplink.upload import read_token


def check_box(config: EdgeConfig) -> list[str]:
    """Load and run every model once, read every secret and key, and ask every stream what it is.

    Returns:
        what was not checked.

    Raises:
        ConfigurationError: when a manifest, a model file, a password or a token is not usable, or a stream is none that
            its camera's analysers can see on, or evidence could not be kept.
        Permanent: when a model is not what its manifest says, or its outputs are not of its family.
    """
    fault = fault_of_folder(Path(config.box.data) / "evidence")
    if fault:
        raise ConfigurationError(fault)
    read_password(config.mqtt)
    if config.console.url:
        read_token(Path(config.console.token_file))
    for camera in config.camera:
        model = load_model(Path(camera.model)) if camera.needs_detector else None
        if model is not None:
            OnnxDetector(model, min_score=camera.min_score).try_out()
        build_analysers(camera, model=model, make_detector=lambda one, score: OnnxDetector(one, min_score=score))
    return _check_streams(config)


def _check_streams(config: EdgeConfig) -> list[str]:
    """Return the streams that do not answer now; raise when one is not fit for its camera."""
    tags = [(camera, probe(camera.source)) for camera in config.camera]
    wrong = [fault for camera, known in tags if known for fault in stream_faults(camera, known)]
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    return [
        f"camera {camera.id!r}: {redact_url(camera.source)} does not say what it is: pictures a second and size "
        "were not checked"
        for camera, known in tags
        if known is None
    ]
