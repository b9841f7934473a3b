"""Small things edge tests are made of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from contracts.events import DeviceReported, Event, ObjectFell
from detectors.vision.detection.detections import Detections, Image, detections
from edge.spool.box_db import BoxDb
from edge.spool.spool import Spool


def reported(at_ms: int, source_id: str = "cam1") -> DeviceReported:
    """An event of no particular urgency."""
    return DeviceReported(event_id="", site_id="s1", source_id=source_id, place_id="p1", at_ms=at_ms)


def fell(at_ms: int) -> Event:
    """An event that matters for life."""
    return ObjectFell(
        event_id="",
        site_id="s1",
        source_id="cam1",
        place_id="p1",
        at_ms=at_ms,
        track_id=1,
        started_ms=at_ms,
        duration_ms=0,
        calibrated=False,
    )


def new_spool(folder: Path, *, max_rows: int = 10_000, now_ms: int = 0) -> Spool:
    """A spool of box b1 in ``folder``; opened again, the same one."""
    db = BoxDb(folder / "box.db")
    return Spool(db, box_id="b1", site_id="s1", place_id="b1", now_ms=now_ms, max_rows=max_rows)


def seen(*boxes: tuple[float, float, float, float], class_id: int = 0, score: float = 0.9) -> Detections:
    """Detections of one class at one score."""
    return detections(boxes, [score] * len(boxes), [class_id] * len(boxes))


def person_box(x: float, foot_y: float, height: float = 60.0) -> tuple[float, float, float, float]:
    """The box of someone standing at (x, foot_y)."""
    return (x - height / 6, foot_y - height, x + height / 6, foot_y)


def noise_frame(seed: int, width: int = 64, height: int = 48) -> Image:
    """A picture that compresses badly."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_video(path: Path, frames: int, *, fps: float = 10.0, width: int = 64, height: int = 48) -> Path:
    """A video file whose n-th frame has grey value 10 + 2·n, round 250."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for n in range(frames):
        writer.write(np.full((height, width, 3), (10 + 2 * n) % 250, np.uint8))
    writer.release()
    return path
