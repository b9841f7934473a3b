"""Model manifests: what a model file is, where it comes from, what it may be used for.

A manifest is a TOML file beside its model (or beside where the model will be fetched to)::

    name = "yolox_nano_416"
    file = "yolox_nano_416.onnx"
    url = "https://…"                # where to fetch it
    sha256 = "695e…"
    licence = "Apache-2.0"
    source = "YOLOX, Megvii"
    measured = "COCO val 25.8 mAP; not an e-bike detector"
    family = "yolox"                 # how its tensors are read: one of detection.families.DECODERS
    demo_only = false                # true: trained on generated scenes, refused on a real camera
    labels = ["person", "bicycle"]   # in order of class number
    [input]
    name = "images"
    width = 416
    height = 416
    [map]                            # optional: label → what Linli calls it, where the names differ
    "electric scooter" = "e_bike"
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec

from contracts.errors import ConfigurationError, Permanent
from contracts.events import ObjectLabel, Sha256
from detectors.vision.detection.families import decoder_of
from edge.camera import CameraConfig, convert, read_toml

_MAX_NAME = 15  # name@sha256 must fit the 80 characters of an event's ``model``
SUGGESTED_MODEL = "yolox_nano_416 (edge/models/yolox_nano_416.toml)"
_ALIASES = {
    "bike": ObjectLabel.BICYCLE,
    "motorbike": ObjectLabel.MOTORCYCLE,
    "ebike": ObjectLabel.E_BIKE,
    "electric_bicycle": ObjectLabel.E_BIKE,
    "stroller": ObjectLabel.PRAM,
    "dog": ObjectLabel.ANIMAL,
    "cat": ObjectLabel.ANIMAL,
}


class ModelInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's input tensor: 1×3×``height``×``width`` float32, BGR."""

    name: str
    width: Annotated[int, msgspec.Meta(ge=32, le=4096)]
    height: Annotated[int, msgspec.Meta(ge=32, le=4096)]


class ModelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's manifest, as the module's docstring shows it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_NAME)]
    file: str
    sha256: Sha256
    licence: Annotated[str, msgspec.Meta(min_length=1)]
    family: str
    input: ModelInput
    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1000)]
    url: str = ""
    source: str = ""
    measured: str = ""
    demo_only: bool = False
    map: dict[str, ObjectLabel] = {}

    @property
    def model(self) -> str:
        """``name@sha256``, as events carry it."""
        return f"{self.name}@{self.sha256}"

    def classes(self) -> tuple[ObjectLabel | None, ...]:
        """Return class number → what Linli calls it; None for classes that no rule has a word for."""
        return tuple(self.map.get(label, _known(label)) for label in self.labels)


class LoadedModel(msgspec.Struct, frozen=True):
    """A manifest and the checked bytes of its model."""

    manifest: ModelManifest
    data: bytes


def load_manifest(path: Path) -> ModelManifest:
    """Return the manifest at ``path``.

    Raises:
        ConfigurationError: naming the key and what was expected.
    """
    manifest = convert(read_toml(path, "model manifest"), ModelManifest, f"model manifest {path}")
    try:
        decoder_of(manifest.family)
    except ConfigurationError as error:
        raise ConfigurationError(f"model manifest {path}: {error}") from None
    unknown = sorted(set(manifest.map) - set(manifest.labels))
    if unknown:
        raise ConfigurationError(f"model manifest {path}: [map] names {unknown}, which labels does not have")
    if Path(manifest.file).name != manifest.file:
        raise ConfigurationError(
            f"model manifest {path}: file {manifest.file!r} must be a plain name beside the manifest"
        )
    return manifest


def load_model(path: Path) -> LoadedModel:
    """Return the manifest at ``path`` and its model's bytes, hash checked.

    Raises:
        ConfigurationError: when the manifest is wrong or the model file is absent; says where to fetch it.
        Permanent: when the file's SHA-256 is another.
    """
    manifest = load_manifest(path)
    file = path.parent / manifest.file
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        hint = f"fetch it from {manifest.url}" if manifest.url else "the manifest gives no url to fetch it from"
        raise ConfigurationError(f"model file {file} of {manifest.name} is absent; {hint}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256:
        raise Permanent(
            f"model file {file} is not what its manifest says: SHA-256 is {found}, expected {manifest.sha256}; "
            "fetch it again, or make a manifest for the file you mean"
        )
    return LoadedModel(manifest, data)


def refuse_demo_model(manifest: ModelManifest, camera: CameraConfig) -> None:
    """Raise if a model trained on generated scenes is about to judge a real picture.

    Raises:
        ConfigurationError: then, naming a model to use instead.
    """
    if manifest.demo_only and not camera.simulated:
        raise ConfigurationError(
            f"camera {camera.id!r}: model {manifest.name!r} is demo_only (trained on generated scenes) and is refused "
            f"on a real source; set model to a manifest of a real detector, for example {SUGGESTED_MODEL}, "
            "or simulated = true if this picture is generated"
        )


def _known(label: str) -> ObjectLabel | None:
    name = label.strip().lower().replace(" ", "_").replace("-", "_")
    try:
        return ObjectLabel(name)
    except ValueError:
        return _ALIASES.get(name)
