"""Tracklets: blobs linked from picture to picture, only along paths that a falling thing could take.

A blob may belong to several tracklets (a leaf crosses a fall; fragments part), so a wrong link costs a duplicate, never
the fall. Every bound is a duration or a part of the picture's height per second.
"""

from __future__ import annotations

import itertools

import msgspec
import numpy as np

from detectors.vision.falling.blobs import Blobs
from detectors.vision.geometry.perspective import Floats

# How long an object may be hidden (a branch, a balcony, a background of its own grey).
MAX_UNSEEN_MS = 250
# A single sight waits so long for a second one.
SEED_MS = 110
SEED_LINKS = 3
# A whole picture in a quarter of a second: 40 m/s seen 10 m away through a normal lens.
MAX_SPEED_HEIGHTS_S = 4.0
# A hanging thing that does not move for this long is no fall in progress.
HOVER_MS = 1_500
HOVER_PART = 0.02
# No fall in sight lasts longer: 8 s are 300 m.
MAX_TRACK_MS = 8_000
MAX_TRACKS = 300
ESTABLISHED = 5  # sightings after which a tracklet owns its blobs: two more than fix a parabola
ROUGH_PX = 3.0  # how far a tumbling object's blob centre may jump

MEMORY = 10  # sightings the predictor rests on: a third to half a second, over which perspective changes little


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """One blob of a tracklet: centre, box and area, px."""

    at_ms: float
    x: float
    y: float
    width: float
    height: float
    area: float


class Tracklet(msgspec.Struct):
    """Sightings in order of time, and the state of a constant-acceleration predictor (px, px/s, px/s²)."""

    track_id: int
    sightings: list[Sighting]
    last_blob: int
    x: float  # where the predictor believes it was last
    y: float
    vx: float = 0.0
    vy: float = 0.0
    ay: float = 0.0
    miss: float = 0.0  # mean distance from prediction, px

    @property
    def last(self) -> Sighting:
        """The newest sighting."""
        return self.sightings[-1]

    @property
    def duration_ms(self) -> float:
        """From first to last sighting."""
        return self.last.at_ms - self.sightings[0].at_ms

    @property
    def travel_px(self) -> float:
        """How far down it went."""
        return self.last.y - self.sightings[0].y


class Linker:
    """Blobs in, finished tracklets out. ``height_px`` is the picture's height."""

    def __init__(self, height_px: int) -> None:
        self._height_px = float(height_px)
        self._slack_px = ROUGH_PX + 0.004 * height_px
        self._ids = itertools.count(1)
        self.tracks: list[Tracklet] = []

    def push(self, blobs: Blobs) -> list[Tracklet]:
        """Link ``blobs``; the tracklets that ended, those of one sighting left out."""
        seeds = [t for t in self.tracks if len(t.sightings) == 1]
        grown = [t for t in self.tracks if len(t.sightings) > 1]
        owned = self._extend(grown, blobs)
        born = self._sprout(seeds, blobs, owned)
        kept, ended = self._sift(grown + born, blobs.at_ms)
        waiting = [s for s in seeds if blobs.at_ms - s.last.at_ms < SEED_MS]
        self.tracks = kept + waiting + [self._seed(blobs, k) for k in range(len(blobs)) if k not in owned]
        return ended

    def flush(self) -> list[Tracklet]:
        """Return everything still open, as ended."""
        ended = [t for t in self.tracks if len(t.sightings) > 1]
        self.tracks = []
        return ended

    def _seed(self, blobs: Blobs, k: int) -> Tracklet:
        seen = _sighting(blobs, k)
        return Tracklet(next(self._ids), [seen], k, seen.x, seen.y)

    def _extend(self, tracks: list[Tracklet], blobs: Blobs) -> set[int]:
        """Give each tracklet its best blob; the blobs owned by established ones."""
        owned: set[int] = set()
        for track in tracks:
            track.last_blob = -1
        if not tracks or not len(blobs):
            return owned
        cost = self._costs(tracks, blobs)
        best = np.argmin(cost, axis=1)
        for track, k, value in zip(tracks, best.tolist(), cost[np.arange(len(tracks)), best].tolist(), strict=True):
            if value > 1.0:
                continue
            _append(track, _sighting(blobs, k), k)
            if len(track.sightings) >= ESTABLISHED:
                owned.add(k)
        return owned

    def _costs(self, tracks: list[Tracklet], blobs: Blobs) -> Floats:
        """Return (tracks, blobs): distance from the prediction over the distance allowed; above 1 is no link."""
        state = np.array(
            [(t.x, t.y, t.vx, t.vy, t.ay, t.last.at_ms, len(t.sightings), t.last.height) for t in tracks]
        ).T
        x, y, vx, vy, ay, at_ms, count, size = (column[:, None] for column in state)
        dt = (blobs.at_ms - at_ms) / 1000.0
        px, py = x + vx * dt, y + vy * dt + 0.5 * ay * dt * dt
        distance = np.hypot(blobs.x[None, :] - px, blobs.y[None, :] - py)
        unsure = np.where(count < ESTABLISHED, 0.5, 0.2)
        allowed = self._slack_px + unsure * np.hypot(vx, vy) * dt + 0.25 * np.minimum(size, 40.0)
        rises = blobs.y[None, :] - y < -self._slack_px
        return np.where(rises, np.inf, distance / allowed)

    def _sprout(self, seeds: list[Tracklet], blobs: Blobs, owned: set[int]) -> list[Tracklet]:
        """Return tracklets of two sightings: each seed with the nearest blobs at or below it."""
        born: list[Tracklet] = []
        free = np.array([k not in owned for k in range(len(blobs))], dtype=bool)
        if not free.any():
            return born
        for seed in seeds:
            dt = (blobs.at_ms - seed.last.at_ms) / 1000.0
            dx, dy = blobs.x - seed.last.x, blobs.y - seed.last.y
            reach = MAX_SPEED_HEIGHTS_S * self._height_px * dt
            fits = free & (dy >= -ROUGH_PX) & (dy <= reach) & (np.abs(dx) <= 0.6 * dy + self._slack_px)
            near = np.flatnonzero(fits)
            for k in near[np.argsort(np.hypot(dx[near], dy[near]))][:SEED_LINKS].tolist():
                child = Tracklet(next(self._ids), list(seed.sightings), seed.last_blob, seed.x, seed.y)
                _append(child, _sighting(blobs, k), k)
                born.append(child)
        return born

    def _sift(self, tracks: list[Tracklet], now_ms: float) -> tuple[list[Tracklet], list[Tracklet]]:
        """Return (kept, ended); of tracklets on one blob the best two are kept, of all the longest ``MAX_TRACKS``."""
        kept: list[Tracklet] = []
        ended: list[Tracklet] = []
        on_blob: dict[int, int] = {}
        for track in sorted(tracks, key=lambda t: (-len(t.sightings), t.miss)):
            if now_ms - track.last.at_ms > _patience_ms(track) or track.duration_ms > MAX_TRACK_MS:
                ended.append(track)
                continue
            if self._hovers(track):
                continue
            if track.last_blob >= 0:
                on_blob[track.last_blob] = on_blob.get(track.last_blob, 0) + 1
                if on_blob[track.last_blob] > 2:
                    continue
            if len(kept) < MAX_TRACKS:
                kept.append(track)
        return kept, ended

    def _hovers(self, track: Tracklet) -> bool:
        return track.duration_ms > HOVER_MS and track.travel_px < HOVER_PART * self._height_px


def _patience_ms(track: Tracklet) -> float:
    """Return how long a tracklet may go unseen: a young one no longer than it has been seen."""
    return min(MAX_UNSEEN_MS, max(track.duration_ms, SEED_MS))


def _sighting(blobs: Blobs, k: int) -> Sighting:
    return Sighting(
        blobs.at_ms,
        float(blobs.x[k]),
        float(blobs.y[k]),
        float(blobs.width[k]),
        float(blobs.height[k]),
        float(blobs.area[k]),
    )


def _append(track: Tracklet, seen: Sighting, blob: int) -> None:
    """Add a sighting and correct the predictor: a growing-memory filter, forgetting after ``MEMORY`` sightings."""
    dt = max((seen.at_ms - track.last.at_ms) / 1000.0, 1e-3)
    if len(track.sightings) == 1:
        track.vx, track.vy = (seen.x - track.x) / dt, (seen.y - track.y) / dt
        track.x, track.y = seen.x, seen.y
    else:
        _correct(track, seen, dt)
    track.sightings.append(seen)
    track.last_blob = blob


def _correct(track: Tracklet, seen: Sighting, dt: float) -> None:
    x, y = track.x + track.vx * dt, track.y + track.vy * dt + 0.5 * track.ay * dt * dt
    off_x, off_y = seen.x - x, seen.y - y
    # the gains of a least-squares parabola over n sightings; two more than there are, as if a rough guess came first
    n = min(len(track.sightings) + 3, MEMORY)
    base = n * (n + 1) * (n + 2)
    place, speed, bend = 3 * (3 * n * n - 3 * n + 2) / base, 18 * (2 * n - 1) / base, 60 / base
    track.x, track.y = x + place * off_x, y + place * off_y
    track.vx += speed * off_x / dt
    track.vy += track.ay * dt + speed * off_y / dt
    track.ay = max(track.ay + bend * off_y / (dt * dt), 0.0)
    track.miss += (float(np.hypot(off_x, off_y)) - track.miss) / len(track.sightings)
