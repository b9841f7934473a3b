"""Whether a model is what its manifest says: hash, tensors, labels, and that it runs."""

from __future__ import annotations

from pathlib import Path

from edge.inference.manifest import load_model
from edge.inference.onnx import OnnxDetector


def check_model(path: Path) -> str:
    """Return one line about the model of the manifest at ``path``, after running it on pictures that show nothing.

    Raises:
        ConfigurationError: when the manifest is wrong or the model file is absent.
        Permanent: when the file is another or does not fit its manifest.
    """
    model = load_model(path)
    OnnxDetector(model, min_score=0.5).try_out()
    manifest = model.manifest
    known = sorted({label.value for label in manifest.classes() if label is not None})
    use = "demo only" if manifest.demo_only else "real cameras"
    return (
        f"{manifest.name}: ok, {manifest.family}, {manifest.input.width}×{manifest.input.height}, "
        f"{len(manifest.labels)} labels ({', '.join(known) or 'none Linli knows'}), {manifest.licence}, {use}, "
        f"sha256 {manifest.sha256[:12]}…"
    )
