"""Passages: a person's track crosses a door's line.

A track has crossed when its anchor point was clearly on one side, is clearly on the other, and its way between them
cuts the line itself (not its prolongation). *Clearly* is a share of the person's height, so that standing on the line
counts nobody twice. What it will not catch: a track that ends on the line, and two people whom the tracker takes for
one.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from contracts.events import Direction, ObjectLabel
from detectors.vision.detection.boxes import anchors
from detectors.vision.detection.detections import Detections
from detectors.vision.geometry.shapes import Anchor, Line
from detectors.vision.observations import LinePassed

CLEAR_SHARE = 0.06  # of the box's height: about 10 cm of a person
FORGET_MS = 3000

Px = tuple[float, float]


class _Walker(msgspec.Struct):
    """Where a track was last clearly on a side: +1 right of the line, −1 left of it."""

    side: int
    at_px: Px
    seen_ms: int


class LineWatch:
    """Who crosses one line.

    Args:
        line: what was drawn.
        classes: class number → label; only persons pass.
    """

    def __init__(self, line: Line, classes: tuple[ObjectLabel | None, ...]) -> None:
        self._line, self._classes = line, classes
        self._walkers: dict[int, _Walker] = {}

    def update(
        self, tracks: Detections, at_ms: int, width: int, height: int, *, held: Collection[int] = ()
    ) -> list[LinePassed]:
        """Return who crossed with these tracks, in their order.

        Args:
            tracks: the believed tracks of one picture of ``width`` × ``height``.
            at_ms: its time.
            held: the tracks that may go on, whether this picture shows them or not.
        """
        start = (self._line.start[0] * width, self._line.start[1] * height)
        end = (self._line.end[0] * width, self._line.end[1] * height)
        points = anchors(tracks.xyxy, foot=self._line.anchor is Anchor.FOOT)
        passed = []
        for row in range(len(tracks)):
            if self._is_person(int(tracks.class_id[row])):
                here = (float(points[row, 0]), float(points[row, 1]))
                turn = self._turn(tracks, row, here, start, end, at_ms)
                passed += [self._passage(tracks, row, turn, at_ms)] if turn else []
        self._walkers = {k: w for k, w in self._walkers.items() if k in held or at_ms - w.seen_ms <= FORGET_MS}
        return passed

    def rescale(self, x: float, y: float) -> None:
        """Go on in pictures that are ``x`` times as wide and ``y`` times as high."""
        for walker in self._walkers.values():
            walker.at_px = (walker.at_px[0] * x, walker.at_px[1] * y)

    def forget(self) -> None:
        """Forget on which side anybody was: a picture of another shape may show another part of the scene."""
        self._walkers.clear()

    def _is_person(self, class_id: int) -> bool:
        return class_id < len(self._classes) and self._classes[class_id] is ObjectLabel.PERSON

    def _turn(self, tracks: Detections, row: int, here: Px, start: Px, end: Px, at_ms: int) -> int:
        """Return +1 if it crossed from left to right just now, −1 from right to left, 0 if it did not."""
        track_id = int(tracks.track_id[row])
        known = self._walkers.get(track_id)
        if known is not None:
            known.seen_ms = at_ms
        side = clear_side(here, start, end, CLEAR_SHARE * float(tracks.xyxy[row, 3] - tracks.xyxy[row, 1]))
        if side == 0:
            return 0
        self._walkers[track_id] = _Walker(side, here, at_ms)
        crossed = known is not None and known.side != side and cuts(known.at_px, here, start, end)
        return side if crossed else 0

    def _passage(self, tracks: Detections, row: int, turn: int, at_ms: int) -> LinePassed:
        left, top, right, bottom = (float(v) for v in tracks.xyxy[row])
        back = Direction.OUT if self._line.in_is is Direction.IN else Direction.IN
        return LinePassed(
            at_ms=at_ms,
            place_id=self._line.place_id,
            direction=self._line.in_is if turn > 0 else back,
            track_id=int(tracks.track_id[row]),
            score=min(float(tracks.score[row]), 1.0),
            box_xyxy=(left, top, right, bottom),
        )


def clear_side(point: Px, start: Px, end: Px, margin_px: float) -> int:
    """Return +1 if ``point`` lies more than ``margin_px`` right of ``start`` → ``end`` (y down), −1 left of it, else 0.

    >>> clear_side((5, 9), (0, 5), (10, 5), 1)
    1
    """
    length = max(((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5, 1e-9)
    distance_px = _cross(start, end, point) / length
    if abs(distance_px) <= margin_px:
        return 0
    return 1 if distance_px > 0 else -1


def cuts(a: Px, b: Px, start: Px, end: Px) -> bool:
    """Return whether the way from ``a`` to ``b`` cuts the line from ``start`` to ``end`` itself."""
    return _cross(start, end, a) * _cross(start, end, b) <= 0 and _cross(a, b, start) * _cross(a, b, end) <= 0


def _cross(origin: Px, to: Px, point: Px) -> float:
    return (to[0] - origin[0]) * (point[1] - origin[1]) - (to[1] - origin[1]) * (point[0] - origin[0])
