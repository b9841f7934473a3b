"""ONNX models: the only file that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]

from contracts.errors import Permanent
from detectors.vision.detection import dfl, yolox
from detectors.vision.detection.detections import Detections, Image
from edge.inference.manifest import Family, LoadedModel, Manifest

_LOG_ERRORS_ONLY = 3


class OnnxModel:
    """One loaded model. One thread by default: a box runs many cameras on few cores."""

    def __init__(self, data: bytes, name: str, *, threads: int = 1) -> None:
        """Load a model from its bytes.

        Raises:
            Permanent: when onnxruntime cannot load it.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = _LOG_ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base but Exception
            raise Permanent(f"model {name}: onnxruntime cannot load it: {str(error)[:200]}") from None
        self._name = name

    def inputs(self) -> dict[str, tuple[object, ...]]:
        """Input name → shape; None or a name stands for a free dimension."""
        return {tensor.name: tuple(tensor.shape) for tensor in self._session.get_inputs()}

    def outputs(self) -> dict[str, tuple[object, ...]]:
        """Output name → shape."""
        return {tensor.name: tuple(tensor.shape) for tensor in self._session.get_outputs()}

    def run(self, name: str, tensor: npt.NDArray[np.float32]) -> Sequence[npt.NDArray[np.float32]]:
        """The outputs for one input tensor."""
        return list(self._session.run(None, {name: tensor}))


class OnnxDetector:
    """A detector behind a manifest.

    Args:
        model: manifest and checked bytes.
        min_score: objects scored less are not reported.
    """

    def __init__(self, model: LoadedModel, *, min_score: float, threads: int = 1) -> None:
        self._manifest, self._min_score = model.manifest, min_score
        self._model = OnnxModel(model.data, model.manifest.name, threads=threads)
        check_tensors(model.manifest, self._model)

    def detect(self, frame: Image) -> Detections:
        """What is in ``frame``; untracked, best first."""
        size = self._manifest.input
        family = yolox if self._manifest.family is Family.YOLOX else dfl
        tensor, fit = family.prepare(frame, size.width, size.height)
        outputs = self._model.run(size.name, tensor)
        if self._manifest.family is Family.YOLOX:
            return yolox.decode(outputs[0], size.width, size.height, fit, min_score=self._min_score)
        classes = len(self._manifest.labels)
        return dfl.decode(outputs, size.width, size.height, fit, classes=classes, min_score=self._min_score)


def check_tensors(manifest: Manifest, model: OnnxModel) -> None:
    """Nothing, unless the model's tensors are not the manifest's.

    Raises:
        Permanent: naming the tensor and what was expected.
    """
    size, inputs = manifest.input, model.inputs()
    if size.name not in inputs:
        raise Permanent(
            f"model {manifest.name}: manifest names input {size.name!r}, the model has {sorted(inputs)[:5]}"
        )
    for expected, found in zip((1, 3, size.height, size.width), inputs[size.name], strict=False):
        if isinstance(found, int) and found != expected:
            shape = (1, 3, size.height, size.width)
            raise Permanent(
                f"model {manifest.name}: input {size.name!r} is {inputs[size.name]}, the manifest says {shape}"
            )
    classes = _classes_of(manifest, model)
    if classes is not None and classes != len(manifest.labels):
        raise Permanent(f"model {manifest.name} has {classes} classes, its manifest {len(manifest.labels)} labels")


def _classes_of(manifest: Manifest, model: OnnxModel) -> int | None:
    if manifest.family is not Family.YOLOX:
        return None
    last = next(iter(model.outputs().values()))[-1]
    return last - 5 if isinstance(last, int) else None
