"""Tracks from detections, after ByteTrack (Zhang et al. 2022): good detections first, weak ones only for known tracks.

Boxes are widened before they are compared (Yang et al. 2023, C-BIoU): at a few pictures per second a walker's box
hardly overlaps its last one. Everything is a duration: how long a track lives unseen, how long until it is believed.
How long it lives unseen follows the pace of the pictures, so that a slow detector is not blind. What stands still is
waited for longer: a parked vehicle that is hidden by a door or by people is the same one afterwards.
What it will not do: know a person again after an absence, follow through a complete occlusion of over a second, or tell
a vehicle from another that takes its place unseen within half a minute.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Collection

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.detection.boxes import iou
from detectors.vision.detection.detections import Detections, Floats
from detectors.vision.tracking.track import Track, classes_of


class TrackerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Scores 0–1, durations in ms, overlaps of widened boxes 0–1 (``overlap_parked``: of boxes as they are)."""

    good_score: float = 0.5
    confirm_ms: int = 150  # a single picture's ghost is no track
    lost_ms: int = 1500
    lost_paces: float = 2.5  # … and never less than two pictures that do not show it
    widen: float = 0.3  # of the box's size, on each side
    overlap_good: float = 0.15
    overlap_weak: float = 0.3
    overlap_parked: float = 0.4
    trust_parked: float = 0.8  # who rolls by in front of one that is hidden stays who he is
    vote_halves_ms: int = 2000  # how fast older opinions on a track's class fade


LONGEST_PACE_MS = 10_000
PACES = 5  # the usual time between pictures is the median of so many: a single pause says nothing
MAX_PARKED = 64


class Tracker:
    """Follows objects from picture to picture.

    Args:
        groups: class number → group; only detections of one group can be one object (a person is never a bicycle,
            but a bicycle may turn out to be an e-bike). A class beyond it is a group of its own.
        parks: the groups of what is known again where it stood.
        first_id: the id of the first track; live boxes begin at the time, so that ids differ after a restart.
    """

    def __init__(
        self,
        groups: tuple[int, ...] = (),
        *,
        parks: Collection[int] = (),
        config: TrackerConfig | None = None,
        first_id: int = 1,
    ) -> None:
        self._groups, self._parks, self._config, self._next_id = groups, parks, config or TrackerConfig(), first_id
        self._tracks: list[Track] = []
        self._parked: list[Track] = []
        self._at_ms: int | None = None
        self._paces: deque[int] = deque(maxlen=PACES)

    def update(self, found: Detections, at_ms: int) -> Detections:
        """Return the believed tracks seen in this picture, with their ids and classes, in order of id.

        Args:
            found: what the detector saw; weak detections are welcome.
            at_ms: the picture's time; never before the last one.
        """
        config = self._config
        self._forget(at_ms)
        good = found.score >= config.good_score
        left = self._continue(found, np.flatnonzero(good), at_ms, config.overlap_good)
        self._begin(found, left, at_ms)
        self._continue(found, np.flatnonzero(~good), at_ms, config.overlap_weak)
        return self._believed(at_ms)

    def rescale(self, x: float, y: float) -> None:
        """Go on in pictures that are ``x`` times as wide and ``y`` times as high."""
        for track in (*self._tracks, *self._parked):
            track.rescale(x, y)

    def held_ids(self) -> frozenset[int]:
        """Return the tracks that may go on: seen a moment ago, or expected to be seen again where they stood."""
        return frozenset(track.track_id for track in (*self._tracks, *self._parked))

    def unseen_xyxy(self, at_ms: int) -> Floats:
        """Return (N, 4): where those may be at ``at_ms`` whom the last picture did not show any more."""
        reached = [track.filter.reached(at_ms) for track in self._tracks if track.seen_ms != self._at_ms]
        return np.asarray(reached, np.float32).reshape(-1, 4)

    def newcomers_xyxy(self, before_ms: int) -> Floats:
        """Return (N, 4): where those may have been ``before_ms`` ago who are new in the last picture."""
        new = [track for track in self._tracks if track.first_ms == self._at_ms]
        return np.asarray([t.filter.reached(t.first_ms + before_ms) for t in new], np.float32).reshape(-1, 4)

    def _forget(self, at_ms: int) -> None:
        """Let go of what was not seen for too long; what stood there is waited for longer."""
        if self._at_ms is not None:
            self._paces.append(min(at_ms - self._at_ms, LONGEST_PACE_MS))
        self._at_ms = at_ms
        lost_ms = self._lost_ms()
        lost = [track for track in self._tracks if at_ms - track.seen_ms > lost_ms]
        self._tracks = [track for track in self._tracks if at_ms - track.seen_ms <= lost_ms]
        waited = [*self._parked, *(track for track in lost if self._group_of(track.class_id) in self._parks)]
        self._parked = [track for track in waited if at_ms <= track.expected_until_ms][-MAX_PARKED:]

    def _lost_ms(self) -> float:
        pace_ms = statistics.median(self._paces) if self._paces else 0
        return max(self._config.lost_ms, self._config.lost_paces * pace_ms)

    def _continue(self, found: Detections, rows: npt.NDArray[np.int64], at_ms: int, overlap: float) -> list[int]:
        """Give these detections to the tracks that they continue, and to those that stood there; return the rest."""
        unseen = [track for track in self._tracks if track.seen_ms < at_ms]
        tracks = [*unseen, *self._parked]
        if not len(rows) or not tracks:
            return [int(row) for row in rows]
        moved, standing = self._moved(found.xyxy[rows], unseen, at_ms), self._standing(found.xyxy[rows])
        shared = np.concatenate([np.where(moved >= overlap, moved, 0.0), standing], axis=1)
        shared[self._group(found.class_id[rows])[:, None] != self._group(classes_of(tracks))[None, :]] = 0.0
        pairs = _greedy(shared)
        for row, column in pairs:
            if column >= len(unseen):
                self._resume(tracks[column], at_ms)
            self._see(tracks[column], found, int(rows[row]), at_ms)
        taken = {row for row, _ in pairs}
        return [int(row) for n, row in enumerate(rows) if n not in taken]

    def _resume(self, track: Track, at_ms: int) -> None:
        track.resume(at_ms)
        self._parked.remove(track)
        self._tracks.append(track)

    def _see(self, track: Track, found: Detections, row: int, at_ms: int) -> None:
        score, class_id = float(found.score[row]), int(found.class_id[row])
        track.see(found.xyxy[row], score, class_id, at_ms, self._config.vote_halves_ms)

    def _begin(self, found: Detections, rows: list[int], at_ms: int) -> None:
        for row in rows:
            score, class_id = float(found.score[row]), int(found.class_id[row])
            self._tracks.append(Track(self._next_id, found.xyxy[row], score, class_id, at_ms))
            self._next_id += 1

    def _moved(self, xyxy: Floats, tracks: list[Track], at_ms: int) -> Floats:
        """Return how much each box shares with where each track is expected, both widened: (boxes, tracks), 0–1."""
        expected = np.asarray([track.filter.predicted(at_ms) for track in tracks], np.float32).reshape(-1, 4)
        return iou(_widened(xyxy, self._config.widen), _widened(expected, self._config.widen))

    def _standing(self, xyxy: Floats) -> Floats:
        """Return how much each box shares with where each of those stood that are waited for: (boxes, tracks), 0–1."""
        stood = np.asarray([track.xyxy for track in self._parked], np.float32).reshape(-1, 4)
        shared = iou(xyxy, stood)
        return np.where(shared >= self._config.overlap_parked, shared * self._config.trust_parked, np.float32(0))

    def _group(self, class_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.asarray([self._group_of(c) for c in class_id.tolist()], np.int64)

    def _group_of(self, class_id: int) -> int:
        return self._groups[class_id] if class_id < len(self._groups) else 1_000 + class_id

    def _believed(self, at_ms: int) -> Detections:
        config = self._config
        shown = [t for t in self._tracks if t.seen_ms == at_ms and t.seen_ms - t.first_ms >= config.confirm_ms]
        shown.sort(key=lambda track: track.track_id)
        return Detections(
            np.asarray([track.xyxy for track in shown], np.float32).reshape(-1, 4),
            np.asarray([track.score for track in shown], np.float32),
            np.asarray([track.class_id for track in shown], np.int64),
            np.asarray([track.track_id for track in shown], np.int64),
        )


def _widened(xyxy: Floats, share: float) -> Floats:
    margin = (xyxy[:, 2:] - xyxy[:, :2]) * share
    return np.concatenate([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], axis=1).astype(np.float32)


def _greedy(shared: Floats) -> list[tuple[int, int]]:
    """Return pairs (row, column) that share anything, those that share most first, each row and column at most once."""
    pairs: list[tuple[int, int]] = []
    rows, columns = np.nonzero(shared)
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    for n in np.argsort(-shared[rows, columns], kind="stable"):
        row, column = int(rows[n]), int(columns[n])
        if row not in used_rows and column not in used_columns:
            pairs.append((row, column))
            used_rows.add(row)
            used_columns.add(column)
    return pairs
