"""Detector, tracker, zones and lines as one analyser: a picture in, observations out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from contracts.events import ObjectLabel
from detectors.vision.detection.detections import Detections, Detector, Floats, Image
from detectors.vision.geometry.picture_size import Size, same_shape, size_of
from detectors.vision.geometry.shapes import Line, Zone
from detectors.vision.observations import Observation
from detectors.vision.tracking.lines import LineWatch
from detectors.vision.tracking.people import PeopleSeen
from detectors.vision.tracking.tracker import Tracker, TrackerConfig
from detectors.vision.tracking.zones import ZoneWatch

_PEOPLE, _VEHICLES, _OTHER = 0, 1, 2
_GROUPS = {
    ObjectLabel.PERSON: _PEOPLE,
    ObjectLabel.E_BIKE: _VEHICLES,
    ObjectLabel.BICYCLE: _VEHICLES,
    ObjectLabel.MOTORCYCLE: _VEHICLES,
    ObjectLabel.WHEELCHAIR: _VEHICLES,
    ObjectLabel.PRAM: _VEHICLES,
    ObjectLabel.TOY_VEHICLE: _VEHICLES,
}
_VEHICLE_LABELS = frozenset(label for label, group in _GROUPS.items() if group == _VEHICLES)


class FollowingAnalyser:
    """Follows what the detector sees and says who is in which zone and who crosses which line.

    Args:
        detector: finds objects, looked at no more often than every ``interval_ms``.
        classes: class number → label; None for classes that are not followed.
        good_score: detections scored less only continue known tracks.
        first_id: the first track's id.
    """

    def __init__(
        self,
        detector: Detector,
        classes: tuple[ObjectLabel | None, ...],
        *,
        zones: Sequence[Zone],
        lines: Sequence[Line],
        interval_ms: int,
        good_score: float = 0.5,
        first_id: int = 1,
    ) -> None:
        self._detector, self._classes, self._interval_ms = detector, classes, interval_ms
        self._wanted = np.asarray([number for number, label in enumerate(classes) if label is not None], np.int64)
        groups = tuple(_GROUPS.get(label, _OTHER) if label else _OTHER for label in classes)
        config = TrackerConfig(good_score=good_score)
        self._tracker = Tracker(groups, parks=(_VEHICLES, _OTHER), config=config, first_id=first_id)
        self._zones = [ZoneWatch(zone, classes) for zone in zones]
        self._lines = [LineWatch(line, classes) for line in lines]
        self._people = PeopleSeen()
        self._looked_ms: int | None = None
        self._size: Size | None = None
        self._found: Detections | None = None

    def process(self, frame: Image, at_ms: int) -> list[Observation]:
        """Return the observations that this picture completes; none between two runs of the detector."""
        if self._looked_ms is not None and at_ms - self._looked_ms < self._interval_ms:
            return []
        self._looked_ms = at_ms
        self._fit(size_of(frame))
        found = self._detector.detect(frame)
        self._found = found.where(np.isin(found.class_id, self._wanted))
        self._people.look(self._found.where(self._is_one_of({ObjectLabel.PERSON}, self._found)), at_ms)
        tracks = self._tracker.update(self._found, at_ms)
        held = self._tracker.held_ids()
        height, width = frame.shape[:2]
        inside = [seen for zone in self._zones for seen in zone.update(tracks, at_ms, width, height, held=held)]
        passed = [seen for line in self._lines for seen in line.update(tracks, at_ms, width, height, held=held)]
        return [*inside, *passed]

    def _fit(self, size: Size) -> None:
        """Let what is followed go on when the pictures change their size; zones and lines are parts of any picture."""
        before, self._size = self._size or size, size
        if before == size:
            return
        x, y = size[0] / before[0], size[1] / before[1]
        self._tracker.rescale(x, y)
        self._people.rescale(x, y)
        for line in self._lines:
            if same_shape(before, size):
                line.rescale(x, y)
            else:
                line.forget()

    def looked(self, at_ms: int) -> bool:
        """Return whether the detector looked at the picture of ``at_ms``, and at none after it."""
        return self._looked_ms == at_ms

    def people_xyxy(self) -> Floats:
        """Return (N, 4) boxes of all that people may cover in the picture last looked at: who must not be recognised.

        Weak detections count, and so do people whom the detector saw a moment ago.
        """
        return self._people.hidden_xyxy()

    def newcomers_xyxy(self) -> Floats:
        """Return (N, 4) boxes that people may have covered, unseen, in the picture looked at before the last one."""
        return self._people.before_xyxy()

    def vehicles_xyxy(self) -> Floats:
        """Return (N, 4) boxes of bicycles and their like in the picture last looked at."""
        if self._found is None:
            return np.zeros((0, 4), np.float32)
        return self._found.xyxy[self._is_one_of(_VEHICLE_LABELS, self._found)]

    def _is_one_of(self, labels: Collection[ObjectLabel], found: Detections) -> npt.NDArray[np.bool_]:
        wanted = [number for number, label in enumerate(self._classes) if label in labels]
        return np.isin(found.class_id, wanted)
