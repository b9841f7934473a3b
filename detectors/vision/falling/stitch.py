"""Pieces of one path: a thing that crosses a background of its own grey, or a branch, leaves its tracklet in pieces.

Pieces are put together when the earlier one's predictor leads to the later one's first sighting; whether the whole is a
fall is for ``verdict`` to say.
"""

from __future__ import annotations

import math

from detectors.vision.falling.tracklets import Tracklet

# Half a second hidden is two storeys at 12 m/s; longer, and any two pieces would do.
MAX_HIDDEN_MS = 500
MIN_PIECE_MS = 120
MIN_SIGHTINGS = 4  # one more than fix a parabola
MAX_PIECES = 150
REMEMBER_MS = 2_500  # a fall's later piece may last this long before it ends and is put to the earlier one
# What the predictor may be off: a half-hidden blob's centre by its size, twice; and a share of the way unseen.
SLACK_PART, WAY_PART = 0.045, 0.25
# At the edge of what hides it a thing may be in two tracklets for a moment.
MAX_OVERLAP_MS = 120


class Stitcher:
    """Remembers the pieces of the last moments. ``height_px`` is the picture's height."""

    def __init__(self, height_px: int) -> None:
        self._height_px = float(height_px)
        self._pieces: list[Tracklet] = []

    def wholes(self, piece: Tracklet) -> list[Tracklet]:
        """Return the longer tracklets that end in ``piece``, longest first; remembers it and them."""
        if len(piece.sightings) < MIN_SIGHTINGS or piece.duration_ms < MIN_PIECE_MS or piece.vy <= 0:
            return []
        joined = [_joined(earlier, piece) for earlier in self._pieces if self._leads_to(earlier, piece)]
        joined.sort(key=lambda track: -len(track.sightings))
        fresh = [p for p in self._pieces if piece.last.at_ms - p.last.at_ms <= REMEMBER_MS]
        self._pieces = [*fresh, piece, *joined[:2]][-MAX_PIECES:]
        return joined[:2]

    def _leads_to(self, earlier: Tracklet, later: Tracklet) -> bool:
        first = later.sightings[0]
        hidden_ms = first.at_ms - earlier.last.at_ms
        if not -MAX_OVERLAP_MS <= hidden_ms <= MAX_HIDDEN_MS or later.last.y < earlier.last.y:
            return False
        if first.at_ms <= earlier.sightings[0].at_ms:
            return False
        dt = hidden_ms / 1000.0
        x = earlier.x + earlier.vx * dt
        y = earlier.y + earlier.vy * dt + 0.5 * earlier.ay * dt * dt
        way = math.hypot(x - earlier.x, y - earlier.y)  # back along the path where they overlap
        allowed = SLACK_PART * self._height_px + WAY_PART * way
        return math.hypot(first.x - x, first.y - y) <= allowed


def _joined(earlier: Tracklet, later: Tracklet) -> Tracklet:
    return Tracklet(
        later.track_id,
        [*(s for s in earlier.sightings if s.at_ms < later.sightings[0].at_ms), *later.sightings],
        later.last_blob,
        later.x,
        later.y,
        later.vx,
        later.vy,
        later.ay,
        later.miss,
    )
