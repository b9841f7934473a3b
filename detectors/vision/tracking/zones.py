"""Objects in zones: entered, present about every second, left. Durations, never frame counts.

An object is inside when its anchor point is. It has *entered* after ``enter_ms`` inside, so that a box that flickers
over the edge says nothing; it has *left* after ``leave_ms`` outside or unseen, and not before the tracker has given it
up: what stood may be hidden for a while. What it will not catch: an object whose foot is hidden, and two objects that
the tracker takes for one.
"""

from __future__ import annotations

from collections.abc import Collection

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from contracts.events import ObjectLabel, TrackPhase
from detectors.vision.detection.boxes import anchors
from detectors.vision.detection.detections import Detections
from detectors.vision.geometry.shapes import Anchor, Zone, polygon_px
from detectors.vision.observations import BoxXyxy, ObjectInZone


class ZoneConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in ms."""

    enter_ms: int = 400
    present_ms: int = 1000
    leave_ms: int = 1600  # a little longer than the tracker keeps a track unseen


class _Stay(msgspec.Struct):
    """One track in the zone. ``said_ms`` None: it has not entered yet."""

    first_ms: int
    inside_ms: int
    label: ObjectLabel
    score: float
    box_xyxy: BoxXyxy
    said_ms: int | None = None


class ZoneWatch:
    """Who is in one zone.

    Args:
        zone: what was drawn.
        classes: class number → label; classes without one are not objects.
    """

    def __init__(
        self, zone: Zone, classes: tuple[ObjectLabel | None, ...], *, config: ZoneConfig | None = None
    ) -> None:
        self._zone, self._classes, self._config = zone, classes, config or ZoneConfig()
        self._stays: dict[int, _Stay] = {}

    def update(
        self, tracks: Detections, at_ms: int, width: int, height: int, *, held: Collection[int] = ()
    ) -> list[ObjectInZone]:
        """Return what changed with these tracks, in order of track id.

        Args:
            tracks: the believed tracks of one picture of ``width`` × ``height``.
            at_ms: its time.
            held: the tracks that may go on, whether this picture shows them or not.
        """
        for row in np.flatnonzero(self._inside(tracks, width, height)):
            self._stay(tracks, int(row), at_ms)
        waited = set(held) - set(tracks.track_id.tolist())
        judged = {track_id: stay for track_id, stay in sorted(self._stays.items()) if track_id not in waited}
        said = [self._say(track_id, stay, at_ms) for track_id, stay in judged.items()]
        for track_id, stay in judged.items():
            if at_ms - stay.inside_ms >= self._config.leave_ms:
                del self._stays[track_id]
        return [observation for observation in said if observation is not None]

    def _inside(self, tracks: Detections, width: int, height: int) -> npt.NDArray[np.bool_]:
        polygon = polygon_px(self._zone.polygon, width, height)
        points = anchors(tracks.xyxy, foot=self._zone.anchor is Anchor.FOOT)
        points[:, 1] = np.minimum(points[:, 1], height - 1)  # the foot of someone cut by the picture's edge
        inside = [cv2.pointPolygonTest(polygon, (float(x), float(y)), measureDist=False) >= 0 for x, y in points]
        wanted = [self._label(int(class_id)) is not None for class_id in tracks.class_id]
        return np.logical_and(np.asarray(inside, np.bool_), np.asarray(wanted, np.bool_))

    def _label(self, class_id: int) -> ObjectLabel | None:
        label = self._classes[class_id] if class_id < len(self._classes) else None
        return label if not self._zone.labels or label in self._zone.labels else None

    def _stay(self, tracks: Detections, row: int, at_ms: int) -> None:
        track_id, label = int(tracks.track_id[row]), self._label(int(tracks.class_id[row]))
        if label is None:
            return
        left, top, right, bottom = (float(v) for v in tracks.xyxy[row])
        box, score = (left, top, right, bottom), float(tracks.score[row])
        known = self._stays.get(track_id)
        if known is None:
            self._stays[track_id] = _Stay(at_ms, at_ms, label, score, box)
        else:
            known.inside_ms, known.label, known.score, known.box_xyxy = at_ms, label, score, box

    def _say(self, track_id: int, stay: _Stay, at_ms: int) -> ObjectInZone | None:
        phase = _phase(stay, at_ms, self._config)
        if phase is None:
            return None
        stay.said_ms = at_ms
        return ObjectInZone(
            at_ms=at_ms,
            place_id=self._zone.place_id,
            label=stay.label,
            phase=phase,
            track_id=track_id,
            score=min(stay.score, 1.0),
            dwell_ms=stay.inside_ms - stay.first_ms,
            box_xyxy=stay.box_xyxy,
        )


def _phase(stay: _Stay, at_ms: int, config: ZoneConfig) -> TrackPhase | None:
    """Return what there is to say about a stay now; None: nothing."""
    if at_ms - stay.inside_ms >= config.leave_ms:
        return TrackPhase.LEFT if stay.said_ms is not None else None
    if stay.inside_ms != at_ms or stay.inside_ms - stay.first_ms < config.enter_ms:
        return None
    if stay.said_ms is None:
        return TrackPhase.ENTERED
    return TrackPhase.PRESENT if at_ms - stay.said_ms >= config.present_ms else None
