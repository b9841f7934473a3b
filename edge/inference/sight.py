"""Whether a camera can see what it is asked for: by its model, by its stream, and by what is judged while it runs.

Too few pictures, too few looks of the detector or a model without a word for the thing make an analyser blind, and a
blind one looks like a quiet day.
"""

from __future__ import annotations

from collections.abc import Iterator

from contracts.errors import ConfigurationError
from contracts.events import ObjectLabel
from detectors.vision.falling.falling_analyser import misfit
from detectors.vision.geometry.facade import FacadeGeometry
from detectors.vision.geometry.picture_size import Size, same_shape
from edge.camera import LEAST_FALL_PICTURES_PER_S, LEAST_LOOKS_PER_S, AnalyserName, CameraConfig
from edge.capture.video import VideoTags
from edge.inference.manifest import ModelManifest

PART = 0.75
"""While it runs: a stream's beat and the detector's do not fit each other, and a busy moment is no blindness."""
WINDOW_MS = 5_000
PLAUSIBLE_PER_S = (0.1, 240.0)
"""Streams say all sorts of rates of themselves; 0 and 90,000 mean that they do not know."""


def refuse_blind_model(manifest: ModelManifest, camera: CameraConfig) -> None:
    """Raise if an analyser of the camera waits for what the model can never name.

    Raises:
        ConfigurationError: then, with what the model knows.
    """
    known = {label for label in manifest.classes() if label is not None}
    zones = camera.zone if AnalyserName.OBJECT_ZONES in camera.analysers else ()
    wanted = [(f"zone {zone.place_id!r}", label) for zone in zones for label in zone.labels]
    if AnalyserName.PASSAGES in camera.analysers:
        wanted.append(("passages", ObjectLabel.PERSON))
    never = [f"{what} waits for {label.value}" for what, label in wanted if label not in known]
    if never:
        raise ConfigurationError(
            f"camera {camera.id!r}: {', '.join(never)}, and model {manifest.name!r} knows only "
            f"{', '.join(sorted(known)) or 'what no rule has a word for'}: use another model, or leave that out"
        )


def stream_faults(camera: CameraConfig, tags: VideoTags) -> list[str]:
    """Return why a stream with these tags would leave the camera blind, or its floors unknown; one sentence each."""
    wrong = [f"its facade was {fault}" for fault in _misfits(camera.facade, (tags.width_px, tags.height_px))]
    if PLAUSIBLE_PER_S[0] <= tags.fps <= PLAUSIBLE_PER_S[1]:
        wrong += _faults(camera, tags.fps, min(tags.fps, camera.detect_per_s), part=1.0)
    return [f"camera {camera.id!r}: {fault}" for fault in wrong]


def _misfits(facade: FacadeGeometry, size: Size) -> list[str]:
    if not (facade.storey_edges or facade.columns) or not (facade.width_px and facade.height_px) or not all(size):
        return []
    clicked = (facade.width_px, facade.height_px)
    return [] if same_shape(clicked, size) else [misfit(clicked, size)]


class Sight:
    """What one running camera cannot see, by the counts of pictures that were judged and looked at."""

    def __init__(self, camera: CameraConfig) -> None:
        self._camera = camera
        self._from_ms, self._pictures, self._looks = 0, 0, 0
        self._said: tuple[str, ...] = ()

    def judge(self, now_ms: int, *, pictures: int, looks: int) -> tuple[str, ...]:
        """Return why it is blind, nothing when it is not; as before until enough time has passed to say.

        Args:
            now_ms: by a clock that is never set.
            pictures, looks: how many were judged, and looked at by the detector, since the start.
        """
        if self._pictures == 0:  # the time before the first picture is the camera's start
            self._from_ms, self._pictures, self._looks = now_ms, pictures, looks
        passed_ms = now_ms - self._from_ms
        if passed_ms < WINDOW_MS:
            return self._said
        rates = [1000 * (now - then) / passed_ms for now, then in ((pictures, self._pictures), (looks, self._looks))]
        self._said = tuple(_faults(self._camera, *rates, part=PART))
        self._from_ms, self._pictures, self._looks = now_ms, pictures, looks
        return self._said


def _faults(camera: CameraConfig, pictures_per_s: float, looks_per_s: float, *, part: float) -> Iterator[str]:
    if AnalyserName.HIGH_ALTITUDE_THROW in camera.analysers and pictures_per_s < part * LEAST_FALL_PICTURES_PER_S:
        yield (
            f"{pictures_per_s:.3g} pictures a second: no fall can be found; {LEAST_FALL_PICTURES_PER_S:g} are needed, "
            "15 or more are better"
        )
    for name in camera.analysers:
        least = LEAST_LOOKS_PER_S.get(name, 0.0)
        if looks_per_s < part * least:
            yield f"{looks_per_s:.3g} looks a second: {name} is blind to what moves; {least:g} are needed"
