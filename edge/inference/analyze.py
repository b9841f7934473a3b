"""A recording through one camera's analysers: the events its box would publish, as lines, and nothing else.

Times are the recording's own, milliseconds from its first picture.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import cv2
import msgspec

from contracts.events import Event, Origin
from detectors.vision.falling.falling_analyser import FallingAnalyser, RejectedTrack
from detectors.vision.observations import Observation
from edge.camera import CameraConfig, load_camera
from edge.capture.capture import read_video
from edge.capture.picture_source import VideoUnreadable
from edge.capture.video import probe
from edge.inference.analysers import AnalyserSet, build_analysers
from edge.inference.manifest import LoadedModel, load_model, refuse_demo_model
from edge.inference.onnx import OnnxDetector
from edge.inference.sight import refuse_blind_model, stream_faults
from edge.uplink.events import CameraIdentity, event_of

SITE = "local"  # a recording belongs to no site


def analyze_video(video: Path, camera_file: Path, *, as_json: bool, explain: bool) -> None:
    """Print one line per observation on stdout (JSON, or for people on a terminal); on stderr what it cannot see.

    With ``explain`` rejected tracks are on stderr, too.

    Raises:
        ConfigurationError: the camera file or its model is wrong.
        VideoUnreadable: the video is none, or is cut off; what was seen before has been printed.
    """
    cv2.setNumThreads(1)
    camera = load_camera(camera_file)
    text = not as_json and sys.stdout.isatty()
    analyser_set = make_analysers(camera)
    tags = probe(str(video))
    for fault in stream_faults(camera, tags) if tags else ():
        sys.stderr.write(f"{video}: {fault}\n")
    for event in events_of(video, camera, analyser_set, sys.stderr if explain else None):
        print_event(event, sys.stdout, text=text)


def make_analysers(camera: CameraConfig) -> AnalyserSet:
    """Return the analysers the camera lists, with its model where they need one."""
    model = load_model(Path(camera.model)) if camera.needs_detector and camera.model else None
    if model is not None:
        refuse_demo_model(model.manifest, camera)
        refuse_blind_model(model.manifest, camera)
    return build_analysers(camera, model=model, make_detector=_onnx_detector)


def events_of(
    video: Path, camera: CameraConfig, analyser_set: AnalyserSet, explain_to: TextIO | None
) -> Iterator[Event]:
    """Yield every event of the recording, as soon as it is decided; what is still open at the end, too.

    Raises:
        VideoUnreadable: after the events of the part that could be read.
    """
    identity = CameraIdentity(
        site_id=SITE,
        camera_id=camera.id,
        place_id=camera.place,
        origin=Origin.SIMULATED if camera.simulated else Origin.LIVE,
        model=analyser_set.model,
    )
    for number, seen in enumerate(_observations(video, analyser_set, explain_to), 1):
        yield msgspec.structs.replace(event_of(seen, identity, ()), event_id=f"{camera.id}-{number}")


def print_event(event: Event, out: TextIO, *, text: bool) -> None:
    """Print one line: the event's JSON, or its fields for a person."""
    if not text:
        out.write(msgspec.json.encode(event).decode() + "\n")
    else:
        fields = msgspec.to_builtins(event)
        shown = [f"{k}={v}" for k, v in fields.items() if k not in ("kind", "v", "event_id", "site_id", "at_ms")]
        out.write(f"{event.at_ms / 1000:9.2f} s  {fields['kind']}  {'  '.join(shown)}\n")
    out.flush()


def _observations(video: Path, analyser_set: AnalyserSet, explain_to: TextIO | None) -> Iterator[Observation]:
    cut_off: VideoUnreadable | None = None
    try:
        for frame in read_video(video):
            for analyser in analyser_set.analysers:
                yield from analyser.process(frame.image, frame.at_ms)
            _explain(analyser_set, explain_to)
    except VideoUnreadable as error:
        cut_off = error
    yield from _still_open(analyser_set)
    _explain(analyser_set, explain_to)
    if cut_off is not None:
        raise cut_off


def _still_open(analyser_set: AnalyserSet) -> Sequence[Observation]:
    return [fall for one in analyser_set.analysers if isinstance(one, FallingAnalyser) for fall in one.flush()]


def _explain(analyser_set: AnalyserSet, out: TextIO | None) -> None:
    if out is None:
        return
    for analyser in analyser_set.analysers:
        if isinstance(analyser, FallingAnalyser):
            for track in analyser.take_rejected():
                out.write(describe(track) + "\n")


def describe(track: RejectedTrack) -> str:
    """Return a rejected track as a JSON line: the reason first, then where and when, then the numbers."""
    return msgspec.json.encode(track).decode()


def _onnx_detector(model: LoadedModel, min_score: float) -> OnnxDetector:
    return OnnxDetector(model, min_score=min_score)
