"""What a rendered scene says is true: labelled boxes of a moment, episodes, and a facade's calibration."""

from __future__ import annotations

from pathlib import Path

import msgspec

from contracts.events import ObjectLabel


class Labelled(msgspec.Struct, frozen=True):
    """One object in one frame. ``box_xyxy`` px: the whole object, cut to the frame; ``visible``: share unhidden."""

    label: ObjectLabel
    object_id: int
    box_xyxy: tuple[float, float, float, float]
    visible: float = 1.0


class SceneEpisode(msgspec.Struct, frozen=True):
    """Something scripted, from its first to its last moment. ``facts`` are numbers that depend on ``kind``.

    ``fall``: floor (the ground is 1), start_floor (the same with its fraction), drop_m (in sight), height_m (of its
    start), x_m, v0_ms (down), size_m, gravity_ms2. ``bird``, ``insect``, ``leaf``: distractors.
    ``ride``: one party in the lift; ``walk``: one party crossing the lobby.
    ``passage``: inward (1 in, 0 out), cross_ms, tailgating (1 when it follows another through one opening).
    """

    kind: str
    from_ms: int
    to_ms: int
    labels: tuple[ObjectLabel, ...] = ()
    object_ids: tuple[int, ...] = ()
    facts: dict[str, float] = {}


class CalibrationEdge(msgspec.Struct, frozen=True):
    """A floor slab: its storey (the ground is floor 1), pixel row (0 at the top) and height above ground, m."""

    floor: int
    row_px: float
    height_m: float


class Calibration(msgspec.Struct, frozen=True):
    """The calibration of a camera that looks up: three clicked storey edges, and the height of a storey."""

    edges: tuple[CalibrationEdge, CalibrationEdge, CalibrationEdge]
    storey_m: float


class FrameTruth(msgspec.Struct, frozen=True, tag="frame", tag_field="kind"):
    """The boxes of one frame."""

    t_ms: int
    boxes: tuple[Labelled, ...]


class SceneTruth(msgspec.Struct, frozen=True, tag="scene", tag_field="kind"):
    """A written scene.

    ``line_xyxy``: the gate's line, start and end in px; who goes in crosses it from its left to its right side.
    ``zone_xy``: corners in px of the part of the picture in which a foot point is inside (lift, lobby).
    """

    name: str
    seed: int
    width: int
    height: int
    fps: float
    duration_ms: int
    episodes: tuple[SceneEpisode, ...]
    calibration: Calibration | None = None
    line_xyxy: tuple[float, float, float, float] | None = None
    zone_xy: tuple[tuple[float, float], ...] = ()
    frames: tuple[FrameTruth, ...] = ()


def write_truth(truth: SceneTruth, path: Path) -> None:
    """Write JSON lines: the scene with its episodes first, then one line a frame."""
    head = msgspec.structs.replace(truth, frames=())
    lines = [msgspec.json.encode(head), *(msgspec.json.encode(frame) for frame in truth.frames)]
    path.write_bytes(b"\n".join(lines) + b"\n")


def read_truth(path: Path) -> SceneTruth:
    """Return the inverse of ``write_truth``. Raises msgspec.DecodeError on anything else."""
    head, *rest = path.read_bytes().splitlines()
    frames = tuple(msgspec.json.decode(line, type=FrameTruth) for line in rest)
    return msgspec.structs.replace(msgspec.json.decode(head, type=SceneTruth), frames=frames)
