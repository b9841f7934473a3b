"""ONNX models: the only file that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]

from contracts.errors import Permanent
from detectors.vision.detection.decoder import Shape, fits
from detectors.vision.detection.detections import Detections, Image
from detectors.vision.detection.families import decoder_of
from edge.inference.manifest import LoadedModel, ModelManifest

_LOG_ERRORS_ONLY = 3
FLOAT = "tensor(float)"


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

    def inputs(self) -> dict[str, Shape]:
        """Return input name → shape."""
        return {tensor.name: _shape(tensor.shape) for tensor in self._session.get_inputs()}

    def outputs(self) -> dict[str, Shape]:
        """Return output name → shape."""
        return {tensor.name: _shape(tensor.shape) for tensor in self._session.get_outputs()}

    def run(self, name: str, tensor: npt.NDArray[np.float32]) -> Sequence[npt.NDArray[np.float32]]:
        """Return the outputs for one input tensor."""
        try:
            return list(self._session.run(None, {name: tensor}))
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base but Exception
            raise Permanent(f"model {self._name}: it does not run: {' '.join(str(error).split())[:200]}") from None

    def types(self) -> dict[str, str]:
        """Return input and output name → type of its numbers, as onnxruntime calls it: ``tensor(float)``."""
        return {tensor.name: tensor.type for tensor in (*self._session.get_inputs(), *self._session.get_outputs())}


class OnnxDetector:
    """A detector behind a manifest.

    Args:
        model: manifest and checked bytes.
        min_score: objects scored less are not reported.
    """

    def __init__(self, model: LoadedModel, *, min_score: float, threads: int = 1) -> None:
        self._manifest, self._min_score = model.manifest, min_score
        self._decoder = decoder_of(model.manifest.family)
        self._model = OnnxModel(model.data, model.manifest.name, threads=threads)
        check_tensors(model.manifest, self._model)

    def try_out(self) -> None:
        """Run the model on pictures that show nothing, and see that what comes out can be what its family says.

        Raises:
            Permanent: it does not run, or its numbers are not those of its family.
        """
        manifest, size, said = self._manifest, self._manifest.input, set()
        for picture in _pictures():
            tensor, _ = self._decoder.prepare(picture, size.width, size.height)
            outputs = self._model.run(size.name, tensor)
            try:
                self._decoder.check_values(outputs, size.width, size.height, classes=len(manifest.labels))
            except ValueError as error:
                raise Permanent(not_of_family(manifest, error)) from None
            said.add(b"".join(np.ascontiguousarray(output).tobytes() for output in outputs))
        if len(said) == 1:
            raise Permanent(
                f"model {manifest.name}: it says the same of every picture: expected the outputs of family "
                f"{manifest.family} as they leave the network, without suppression and padding behind them"
            )

    def detect(self, frame: Image) -> Detections:
        """Detect the objects in ``frame``; untracked, best first."""
        size, classes = self._manifest.input, len(self._manifest.labels)
        tensor, fit = self._decoder.prepare(frame, size.width, size.height)
        outputs = self._model.run(size.name, tensor)
        return self._decoder.decode(outputs, size.width, size.height, fit, classes=classes, min_score=self._min_score)


def check_tensors(manifest: ModelManifest, model: OnnxModel) -> None:
    """Raise unless the model's tensors are those of the manifest's input, family and labels.

    Raises:
        ConfigurationError: no decoder reads the manifest's family.
        Permanent: naming the tensor and what was expected.
    """
    size, inputs = manifest.input, model.inputs()
    if size.name not in inputs:
        raise Permanent(
            f"model {manifest.name}: manifest names input {size.name!r}, the model has {sorted(inputs)[:5]}"
        )
    types = model.types()
    for name in (size.name, *model.outputs()):
        if types[name] != FLOAT:
            raise Permanent(
                f"model {manifest.name}: {name!r} is {types[name]}, expected {FLOAT}: export the model with float32 "
                "inputs and outputs"
            )
    expected = (1, 3, size.height, size.width)
    if not fits(inputs[size.name], expected) and fits(inputs[size.name], (1, size.height, size.width, 3)):
        raise Permanent(
            f"model {manifest.name}: input {size.name!r} is {inputs[size.name]}, colours last (NHWC): export the model "
            f"with colours first (NCHW), {expected}"
        )
    if not fits(inputs[size.name], expected):
        raise Permanent(
            f"model {manifest.name}: input {size.name!r} is {inputs[size.name]}, the manifest says {expected}"
        )
    shapes = list(model.outputs().values())
    try:
        decoder_of(manifest.family).check_outputs(shapes, size.width, size.height, classes=len(manifest.labels))
    except ValueError as error:
        raise Permanent(not_of_family(manifest, error)) from None


def not_of_family(manifest: ModelManifest, error: ValueError) -> str:
    """Return the sentence that says why a model's outputs cannot be read."""
    return f"model {manifest.name}: its output is not of family {manifest.family}: {error}"


def _pictures() -> Iterator[Image]:
    """Yield pictures without anything in them: grey, black, white, and stripes that wake every filter."""
    for grey in (114, 0, 255):
        yield np.full((480, 640, 3), grey, np.uint8)
    rows, columns = np.indices((480, 640))
    yield np.stack([rows * 7 % 256, columns * 13 % 256, (rows + columns) * 29 % 256], axis=2).astype(np.uint8)


def _shape(dimensions: Sequence[object]) -> Shape:
    """Return the shape; onnxruntime gives a free dimension as a name or None."""
    return tuple(size if isinstance(size, int) else None for size in dimensions)
