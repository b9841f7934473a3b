"""Tiny ONNX models, written without the package ``onnx``: what they say is a table, a little of the picture added."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

TYPES = {"float32": 1, "uint8": 2, "float16": 10}
"""ONNX's numbers of the types."""


def write_model(
    folder: Path,
    table: npt.NDArray[np.floating],
    *,
    input_type: str = "float32",
    input_shape: tuple[int, ...] = (1, 3, 64, 64),
    output_type: str = "float32",
    by_picture: float = 1e-6,
    labels: tuple[str, ...] = ("person", "e_bike"),
    family: str = "yolox",
) -> Path:
    """Write ``m.onnx`` and its manifest; the manifest's path.

    The output is ``table`` and ``by_picture`` times the mean of the picture, so a model that looks at its picture.
    """
    nodes = [
        _node("Cast", ["images"], ["as_float"], to=TYPES["float32"]),
        _node("ReduceMean", ["as_float"], ["mean"], keepdims=0),
        _node("Mul", ["mean", "share"], ["more"]),
        _node("Add", ["table", "more"], ["sum"]),
        _node("Cast", ["sum"], ["output"], to=TYPES[output_type]),
    ]
    tensors = [_tensor("table", table.astype(np.float32)), _tensor("share", np.asarray(by_picture, np.float32))]
    graph = b"".join(_part(1, node) for node in nodes) + _part(2, b"g") + b"".join(_part(5, one) for one in tensors)
    graph += _part(11, _value("images", TYPES[input_type], input_shape))
    graph += _part(12, _value("output", TYPES[output_type], table.shape))
    data = _number(1, 8) + _part(8, _part(1, b"") + _number(2, 13)) + _part(7, graph)
    (folder / "m.onnx").write_bytes(data)
    manifest = folder / "m.toml"
    named = ", ".join(f'"{label}"' for label in labels)
    manifest.write_text(
        f'name = "m"\nfile = "m.onnx"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\nlicence = "MIT"\n'
        f'family = "{family}"\nlabels = [{named}]\n[input]\nname = "images"\nwidth = 64\nheight = 64\n'
    )
    return manifest


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _node(operator: str, inputs: list[str], outputs: list[str], **attributes: int) -> bytes:
    parts = [_part(1, name.encode()) for name in inputs] + [_part(2, name.encode()) for name in outputs]
    parts.append(_part(4, operator.encode()))
    for name, value in attributes.items():
        parts.append(_part(5, _part(1, name.encode()) + _number(3, value) + _number(20, 2)))
    return b"".join(parts)


def _tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    dimensions = b"".join(_number(1, size) for size in values.shape)
    return dimensions + _number(2, TYPES["float32"]) + _part(8, name.encode()) + _part(9, values.tobytes())


def _value(name: str, kind: int, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_part(1, _number(1, size)) for size in shape)
    return _part(1, name.encode()) + _part(2, _part(1, _number(1, kind) + _part(2, dimensions)))
