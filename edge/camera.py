"""What a person writes about one camera, in a box's configuration or in a file of its own for ``linli edge analyze``.

The smallest one::

    [camera]
    id = "c1"
    analysers = ["high_altitude_throw"]
"""

from __future__ import annotations

import enum
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from contracts.errors import ConfigurationError
from contracts.events import CameraImpairment
from contracts.names import is_id
from contracts.written_text import decode_written
from detectors.vision.geometry.facade import FacadeGeometry
from detectors.vision.geometry.perspective import check_facade
from detectors.vision.geometry.shapes import Line, Mask, Zone, check_line, check_mask, check_zone
from edge.capture.picture_source import DecoderName, StreamSettings, Transport

T = TypeVar("T")


class AnalyserName(enum.StrEnum):
    """The analysers that a camera may be asked for."""

    HIGH_ALTITUDE_THROW = "high_altitude_throw"
    OBJECT_ZONES = "object_zones"
    PASSAGES = "passages"


LEAST_LOOKS_PER_S = {AnalyserName.OBJECT_ZONES: 1.0, AnalyserName.PASSAGES: 2.5}
"""How often a detector must look: less, and a vehicle that is pushed by, or somebody who walks across the picture, has
moved further between two looks than the tracker can follow. Measured: tests/edge/inference/test_sight.py.
"""
LEAST_FALL_PICTURES_PER_S = 8.0
"""How many pictures a second show a fall: at five none is found, at six all are when nothing else is in the way."""
MOST_LOOKS_PER_S = 30


class CameraConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[camera]]``.

    ``source`` is ``rtsp://…`` or a video file; ``analyze`` takes its video from the command line instead. A file plays
    at its own speed (``realtime``) and again from the start (``loop``). ``simulated``: the picture is generated, its
    events say so and never reach grid or police. ``model`` is the path of a manifest. ``detect_per_s`` is how often
    the detector looks: at least once a second, for passages 2.5 times. ``upload_passages``: evidence of passages is
    uploaded unasked, as that of falls and e-bikes always is; otherwise it stays on the box. ``stream``: how a stream
    is opened and decoded. ``ignore_health``: what its health is not judged by, as ``moved`` of a camera that pans.
    """

    id: str
    analysers: tuple[AnalyserName, ...]
    source: str = ""
    place_id: str = ""
    realtime: bool = True
    loop: bool = False
    simulated: bool = False
    model: str = ""
    detect_per_s: float = 5.0
    min_score: float = 0.4
    upload_passages: bool = False
    zone: tuple[Zone, ...] = ()
    line: tuple[Line, ...] = ()
    mask: tuple[Mask, ...] = ()
    facade: FacadeGeometry = FacadeGeometry()
    stream: StreamSettings = StreamSettings()
    ignore_health: tuple[CameraImpairment, ...] = ()

    @property
    def place(self) -> str:
        """The place of what it sees where no zone, line or column says better: ``place_id``, else its own id."""
        return self.place_id or self.id

    @property
    def needs_detector(self) -> bool:
        """Whether an analyser rests on an object detector, and so on a model."""
        return any(name is not AnalyserName.HIGH_ALTITUDE_THROW for name in self.analysers)


class CameraFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file with one ``[camera]``."""

    camera: CameraConfig


def load_camera(path: Path) -> CameraConfig:
    """Return the camera in the TOML file ``path``.

    Raises:
        ConfigurationError: saying what is wrong and what was expected.
    """
    camera = convert(read_toml(path, "camera file"), CameraFile, str(path)).camera
    wrong = check_camera(camera, f"{path}: camera {camera.id!r}")
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    return camera


def check_camera(camera: CameraConfig, where: str) -> list[str]:
    """Return the faults of this camera by itself, one sentence each."""
    wrong = [] if is_id(camera.id) else [f"{where}: id is no id (small letters, digits, - and _, ≤ 40)"]
    if camera.place_id and not is_id(camera.place_id):
        wrong.append(f"{where}: place_id {camera.place_id!r} is no id")
    if not camera.analysers:
        wrong.append(f"{where}: analysers is empty; name at least one of {', '.join(AnalyserName)}")
    if AnalyserName.OBJECT_ZONES in camera.analysers and not camera.zone:
        wrong.append(f"{where}: object_zones needs at least one [[camera.zone]]")
    if AnalyserName.PASSAGES in camera.analysers and not camera.line:
        wrong.append(f"{where}: passages needs at least one [[camera.line]]")
    wrong += [*_check_looks(camera, where), *check_facade(camera.facade, where)]
    if camera.stream.decoder is DecoderName.OPENCV and camera.stream.transport is Transport.UDP:
        wrong.append(f'{where}: transport = "udp" needs decoder = "pyav"; OpenCV reads streams over tcp')
    if not 0 < camera.min_score < 1:
        wrong.append(f"{where}: min_score = {camera.min_score}: expected between 0 and 1")
    wrong += [w for zone in camera.zone for w in check_zone(zone, where)]
    wrong += [w for line in camera.line for w in check_line(line, where)]
    return wrong + [w for mask in camera.mask for w in check_mask(mask, where)]


def _check_looks(camera: CameraConfig, where: str) -> list[str]:
    """Return whether the detector looks often enough for every analyser that rests on it."""
    least = max((LEAST_LOOKS_PER_S[name] for name in camera.analysers if name in LEAST_LOOKS_PER_S), default=0.2)
    if least <= camera.detect_per_s <= MOST_LOOKS_PER_S:
        return []
    who = ", ".join(name for name in camera.analysers if name in LEAST_LOOKS_PER_S) or "a camera"
    return [
        f"{where}: detect_per_s = {camera.detect_per_s}: {who} needs {least:g}–{MOST_LOOKS_PER_S}, "
        "less often nothing that moves is followed"
    ]


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        ConfigurationError: when it is absent, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(decode_written(path.read_bytes(), f"{what} {path}"))
    except FileNotFoundError:
        raise ConfigurationError(f"{what} {path} does not exist") from None
    except (OSError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{what} {path} is not readable TOML: {error}") from None


def convert(tables: dict[str, Any], kind: type[T], where: str) -> T:
    """Return ``tables`` as ``kind``.

    Raises:
        ConfigurationError: naming the key, its fault, and the file.
    """
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
