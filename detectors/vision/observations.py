"""What vision says it saw, before it becomes an event: values without ids of box or site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from contracts.events import Direction, ObjectLabel, TrackPhase
from detectors.vision.detection.detections import Image

BoxXyxy = tuple[float, float, float, float]
"""Left, top, right, bottom, pixels of the picture."""


@runtime_checkable
class Observation(Protocol):
    """Anything seen at a time; ``edge.uplink.events`` knows every kind."""

    @property
    def at_ms(self) -> int:
        """When: the picture's time."""
        ...


class ObjectInZone(msgspec.Struct, frozen=True, kw_only=True):
    """A track inside a zone: see :class:`contracts.events.ObjectObserved`."""

    at_ms: int
    place_id: str
    label: ObjectLabel
    phase: TrackPhase
    track_id: int
    score: float
    dwell_ms: int
    box_xyxy: BoxXyxy


class LinePassed(msgspec.Struct, frozen=True, kw_only=True):
    """A person's track crossed a door's line: see :class:`contracts.events.PassageObserved`."""

    at_ms: int
    place_id: str
    direction: Direction
    track_id: int
    score: float
    box_xyxy: BoxXyxy


class Analyser(Protocol):
    """Judges a camera's pictures one after another; pure, with its own memory. Times never go back."""

    def process(self, frame: Image, at_ms: int, /) -> Sequence[Observation]:
        """Return what this picture (uint8 (H, W, 3) BGR, taken at ``at_ms``) completes; usually none."""
        ...
