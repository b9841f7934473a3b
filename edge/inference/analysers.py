"""From a camera's configuration to what watches its pictures."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from contracts.errors import ConfigurationError
from contracts.events import ObjectLabel
from detectors.vision.detection.detections import Detector
from detectors.vision.falling.falling_analyser import FallingAnalyser
from detectors.vision.observations import Analyser
from detectors.vision.tracking.object_analyser import FollowingAnalyser
from edge.camera import AnalyserName, CameraConfig
from edge.inference.manifest import LoadedModel

_KEPT_SCORE = 0.1  # weak detections below ``min_score`` still continue known tracks


class AnalyserSet(msgspec.Struct, frozen=True):
    """The analysers of one camera; ``following`` is among them when there is a detector. ``model``: ``name@sha256``."""

    analysers: tuple[Analyser, ...]
    following: FollowingAnalyser | None = None
    model: str | None = None


def build_analysers(
    camera: CameraConfig,
    *,
    model: LoadedModel | None,
    make_detector: Callable[[LoadedModel, float], Detector],
    first_track_id: int = 1,
) -> AnalyserSet:
    """Return everything the camera's ``analysers`` name, and nothing else.

    Args:
        model: the detector's, where the camera needs one.
        make_detector: from a model and the least score it should report.
        first_track_id: every analyser numbers its tracks from here, so that they differ after a restart.

    Raises:
        ConfigurationError: when a detector is needed and there is no model.
    """
    analysers: list[Analyser] = []
    if AnalyserName.HIGH_ALTITUDE_THROW in camera.analysers:
        analysers.append(FallingAnalyser(camera.facade, first_track_id=first_track_id))
    following = None
    if camera.needs_detector:
        if model is None:
            raise ConfigurationError(f"camera {camera.id!r}: model is missing; expected the manifest of a detector")
        following = _following(camera, model, make_detector(model, min(_KEPT_SCORE, camera.min_score)), first_track_id)
        analysers.append(following)
    return AnalyserSet(tuple(analysers), following, model.manifest.model if model and following else None)


def _following(camera: CameraConfig, model: LoadedModel, detector: Detector, first_track_id: int) -> FollowingAnalyser:
    classes: tuple[ObjectLabel | None, ...] = model.manifest.classes()
    return FollowingAnalyser(
        detector,
        classes,
        zones=camera.zone if AnalyserName.OBJECT_ZONES in camera.analysers else (),
        lines=camera.line if AnalyserName.PASSAGES in camera.analysers else (),
        interval_ms=round(1000 / camera.detect_per_s),
        good_score=camera.min_score,
        first_id=first_track_id,
    )
