"""Writes a scene to a video file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from contracts.errors import Permanent
from contracts.events import ObjectLabel
from simulator.scenes.catalogue import Scene, make_scene
from simulator.scenes.truth import FrameTruth, SceneTruth


def frame_times_ms(scene: Scene) -> Iterator[int]:
    """Yield the time of each frame of a scene at its own rate."""
    count = int(scene.duration_ms * scene.fps / 1000)
    return (round(index * 1000 / scene.fps) for index in range(count))


def truth_of(scene: Scene, times_ms: Sequence[int] = ()) -> SceneTruth:
    """Return everything that is true of a scene; boxes for ``times_ms``, or for every frame."""
    frames = tuple(FrameTruth(t_ms, scene.truth(t_ms)) for t_ms in (times_ms or frame_times_ms(scene)))
    return _head(scene, frames)


def write_scene(name: str, seed: int, seconds: float, path: Path, *, cast: Sequence[ObjectLabel] = ()) -> SceneTruth:
    """Render a scene into a video file (MPEG-4, ``.mp4``) and say what is in it, frame by frame.

    Raises:
        ValueError: As ``make_scene``.
        Permanent: The file cannot be written.
    """
    scene = make_scene(name, seed, seconds, cast)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), scene.fps, (scene.width, scene.height))
    if not video.isOpened():
        raise Permanent(f"cannot write video {path}: is its folder there and writable?")
    frames = []
    try:
        for t_ms in frame_times_ms(scene):
            video.write(scene.render(t_ms))
            frames.append(FrameTruth(t_ms, scene.truth(t_ms)))
    finally:
        video.release()
    return _head(scene, tuple(frames))


def _head(scene: Scene, frames: tuple[FrameTruth, ...]) -> SceneTruth:
    return SceneTruth(
        name=scene.name,
        seed=scene.seed,
        width=scene.width,
        height=scene.height,
        fps=scene.fps,
        duration_ms=scene.duration_ms,
        episodes=tuple(scene.episodes),
        calibration=scene.calibration,
        line_xyxy=scene.line_xyxy,
        zone_xy=scene.zone_xy,
        frames=frames,
    )
