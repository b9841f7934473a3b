"""Tracks from detections, after ByteTrack (Zhang et al. 2022): good detections first, weak ones only for known tracks.

Boxes are widened before they are compared (Yang et al. 2023, C-BIoU): at a few pictures per second a walker's box
hardly overlaps its last one. Everything is a duration: how long a track lives unseen, how long until it is believed.
What it will not do: know a person again after an absence, or follow through a complete occlusion of over a second.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.detection.boxes import iou
from detectors.vision.detection.detections import Detections, Floats
from detectors.vision.tracking.kalman import BoxFilter


class TrackerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Scores 0–1, durations in ms, overlaps of widened boxes 0–1."""

    good_score: float = 0.5
    confirm_ms: int = 150  # a single picture's ghost is no track
    lost_ms: int = 1500
    widen: float = 0.3  # of the box's size, on each side
    overlap_good: float = 0.15
    overlap_weak: float = 0.3
    vote_halves_ms: int = 2000  # how fast older opinions on a track's class fade


class Track:
    """One object followed. ``votes`` is the faded sum of scores per class."""

    def __init__(self, track_id: int, xyxy: Floats, score: float, class_id: int, at_ms: int) -> None:
        self.track_id, self.first_ms, self.seen_ms = track_id, at_ms, at_ms
        self.xyxy, self.score = xyxy, score
        self.filter = BoxFilter(xyxy, at_ms)
        self.votes: dict[int, float] = {class_id: score}

    def see(self, xyxy: Floats, score: float, class_id: int, at_ms: int, vote_halves_ms: int) -> None:
        """Take a sighting."""
        fade = 0.5 ** ((at_ms - self.seen_ms) / vote_halves_ms)
        self.votes = {known: vote * fade for known, vote in self.votes.items() if vote * fade > 0.01}
        self.votes[class_id] = self.votes.get(class_id, 0.0) + score
        self.filter.update(xyxy, at_ms)
        self.xyxy, self.score, self.seen_ms = xyxy, score, at_ms

    @property
    def class_id(self) -> int:
        """The class most of its recent sightings had."""
        return max(self.votes, key=lambda known: (self.votes[known], -known))


class Tracker:
    """Follows objects from picture to picture.

    Args:
        groups: class number → group; only detections of one group can be one object (a person is never a bicycle,
            but a bicycle may turn out to be an e-bike). A class beyond it is a group of its own.
        first_id: the id of the first track; live boxes begin at the time, so that ids differ after a restart.
    """

    def __init__(self, groups: tuple[int, ...] = (), *, config: TrackerConfig | None = None, first_id: int = 1) -> None:
        self._groups, self._config, self._next_id = groups, config or TrackerConfig(), first_id
        self._tracks: list[Track] = []
        self._at_ms = 0

    def update(self, found: Detections, at_ms: int) -> Detections:
        """Return the believed tracks seen in this picture, with their ids and classes, in order of id.

        Args:
            found: what the detector saw; weak detections are welcome.
            at_ms: the picture's time; never before the last one.
        """
        config, self._at_ms = self._config, at_ms
        self._tracks = [track for track in self._tracks if at_ms - track.seen_ms <= config.lost_ms]
        good = found.score >= config.good_score
        unseen = list(range(len(self._tracks)))
        for rows, overlap in (
            (np.flatnonzero(good), config.overlap_good),
            (np.flatnonzero(~good), config.overlap_weak),
        ):
            pairs = self._match(found.where(rows), [self._tracks[i] for i in unseen], at_ms, overlap)
            for row, column in pairs:
                self._see(self._tracks[unseen[column]], found, int(rows[row]), at_ms)
            matched_columns, matched_rows = {c for _, c in pairs}, {r for r, _ in pairs}
            unseen = [track for column, track in enumerate(unseen) if column not in matched_columns]
            if overlap == config.overlap_good:
                self._begin(found, [int(r) for n, r in enumerate(rows) if n not in matched_rows], at_ms)
        return self._believed(at_ms)

    def unseen_xyxy(self, at_ms: int) -> Floats:
        """Return (N, 4): where those may be at ``at_ms`` whom the last picture did not show any more."""
        reached = [track.filter.reached(at_ms) for track in self._tracks if track.seen_ms < self._at_ms]
        return np.asarray(reached, np.float32).reshape(-1, 4)

    def newcomers_xyxy(self, before_ms: int) -> Floats:
        """Return (N, 4): where those may have been ``before_ms`` ago who are new in the last picture."""
        reached = [t.filter.reached(self._at_ms + before_ms) for t in self._tracks if t.first_ms == self._at_ms]
        return np.asarray(reached, np.float32).reshape(-1, 4)

    def _see(self, track: Track, found: Detections, row: int, at_ms: int) -> None:
        score, class_id = float(found.score[row]), int(found.class_id[row])
        track.see(found.xyxy[row], score, class_id, at_ms, self._config.vote_halves_ms)

    def _begin(self, found: Detections, rows: list[int], at_ms: int) -> None:
        for row in rows:
            score, class_id = float(found.score[row]), int(found.class_id[row])
            self._tracks.append(Track(self._next_id, found.xyxy[row], score, class_id, at_ms))
            self._next_id += 1

    def _match(self, found: Detections, tracks: list[Track], at_ms: int, overlap: float) -> list[tuple[int, int]]:
        """Return pairs (row of ``found``, index of ``tracks``), the most overlapping first, each at most once."""
        if not len(found) or not tracks:
            return []
        expected = np.stack([track.filter.predicted(at_ms) for track in tracks])
        shared = iou(_widened(found.xyxy, self._config.widen), _widened(expected, self._config.widen))
        shared[self._group(found.class_id)[:, None] != self._group(_classes(tracks))[None, :]] = 0.0
        return _greedy(shared, overlap)

    def _group(self, class_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        known = len(self._groups)
        return np.asarray([self._groups[c] if c < known else 1_000 + c for c in class_id.tolist()], np.int64)

    def _believed(self, at_ms: int) -> Detections:
        config = self._config
        shown = [t for t in self._tracks if t.seen_ms == at_ms and t.seen_ms - t.first_ms >= config.confirm_ms]
        return Detections(
            np.asarray([track.xyxy for track in shown], np.float32).reshape(-1, 4),
            np.asarray([track.score for track in shown], np.float32),
            np.asarray([track.class_id for track in shown], np.int64),
            np.asarray([track.track_id for track in shown], np.int64),
        )


def _classes(tracks: list[Track]) -> npt.NDArray[np.int64]:
    return np.asarray([track.class_id for track in tracks], np.int64)


def _widened(xyxy: Floats, share: float) -> Floats:
    margin = (xyxy[:, 2:] - xyxy[:, :2]) * share
    return np.concatenate([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], axis=1).astype(np.float32)


def _greedy(shared: Floats, least: float) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    rows, columns = np.nonzero(shared >= least)
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    for n in np.argsort(-shared[rows, columns], kind="stable"):
        row, column = int(rows[n]), int(columns[n])
        if row not in used_rows and column not in used_columns:
            pairs.append((row, column))
            used_rows.add(row)
            used_columns.add(column)
    return pairs
