"""One fall, one event: the mirror image in the glass, fragments and duplicate tracklets are the same fall.

Two tracklets are one fall when they share a good part of their time, side by side in the picture, or when one goes on
where the other ended. Two things thrown at the same moment from flats one above the other are therefore one event too:
one incident either way. A bird that leaves as something begins to fall is not the fall.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detectors.vision.falling.tracklets import Sighting
from detectors.vision.falling.verdict import FallVerdict

# A pane's mirror image and what breaks off stay within this part of the picture's width.
NEAR_PART = 0.15
# The time two tracklets share, in parts of the shorter one's.
SHARED_PART = 0.3
# Pieces of a broken tracklet follow each other within this time, going on no higher than this part of the width above.
JOIN_MS, JOIN_PART = 300, 0.03
# A fall waits so long for what belongs to it, and longer while something is still falling beside it.
SETTLE_MS, HOLD_MS = 450, 1_500
# Late pieces of a published fall are recognised for this long.
REMEMBER_MS = 3_000


class FallSpan(msgspec.Struct, frozen=True):
    """Where and when something fell: from/to ms, its leftmost and rightmost column, its first and last row, px."""

    from_ms: float
    to_ms: float
    left_px: float
    right_px: float
    first_row_px: float
    last_row_px: float


def span_of(sightings: Sequence[Sighting]) -> FallSpan:
    """Return the span of a tracklet's sightings."""
    columns = [s.x for s in sightings]
    first, last = sightings[0], sightings[-1]
    return FallSpan(first.at_ms, last.at_ms, min(columns), max(columns), first.y, last.y)


def same_fall(one: FallSpan, other: FallSpan, width_px: int) -> bool:
    """Return whether two spans belong to one fall."""
    apart_px = max(one.left_px, other.left_px) - min(one.right_px, other.right_px)
    if apart_px > NEAR_PART * width_px:
        return False
    shared_ms = min(one.to_ms, other.to_ms) - max(one.from_ms, other.from_ms)
    shorter_ms = min(one.to_ms - one.from_ms, other.to_ms - other.from_ms)
    earlier, later = (one, other) if one.from_ms <= other.from_ms else (other, one)
    goes_on = later.first_row_px >= earlier.last_row_px - JOIN_PART * width_px
    return shared_ms >= SHARED_PART * shorter_ms or (shared_ms >= -JOIN_MS and goes_on)


def joined(one: FallSpan, other: FallSpan) -> FallSpan:
    """Return the span of both."""
    return FallSpan(
        min(one.from_ms, other.from_ms),
        max(one.to_ms, other.to_ms),
        min(one.left_px, other.left_px),
        max(one.right_px, other.right_px),
        one.first_row_px if one.from_ms <= other.from_ms else other.first_row_px,
        one.last_row_px if one.to_ms >= other.to_ms else other.last_row_px,
    )


class FallGroup(msgspec.Struct):
    """The tracklets of one fall so far; ``published`` once its event is out."""

    span: FallSpan
    verdicts: list[FallVerdict]
    published: bool = False

    def best(self) -> FallVerdict:
        """Return the tracklet that stands for the fall: one that passes gravity, then the one furthest down."""
        return max(self.verdicts, key=lambda v: (not v.suspected, v.sightings[-1].y - v.sightings[0].y))


class FallGroups:
    """Verdicts in, groups out when they are complete."""

    def __init__(self, width_px: int) -> None:
        self._width_px = width_px
        self._groups: list[FallGroup] = []

    def add(self, verdict: FallVerdict) -> None:
        """Put a fall's tracklet into its group; a fall already published takes late pieces silently."""
        span = span_of(verdict.sightings)
        for group in self._groups:
            if same_fall(group.span, span, self._width_px):
                group.span = joined(group.span, span)
                group.verdicts.append(verdict)
                return
        self._groups.append(FallGroup(span, [verdict]))

    def complete(self, now_ms: float, falling: Sequence[FallSpan] = ()) -> list[FallGroup]:
        """Return groups that are over by ``now_ms``, each once.

        A group is over ``SETTLE_MS`` after its last sighting; while one of ``falling``, tracklets still going down, may
        belong to it, ``HOLD_MS`` after: the mirror image is out of its pane before the thing is on the ground.
        """
        done = [g for g in self._groups if not g.published and self._is_over(g, now_ms, falling)]
        for group in done:
            group.published = True
        self._groups = [g for g in self._groups if not g.published or g.span.to_ms > now_ms - REMEMBER_MS]
        return done

    def _is_over(self, group: FallGroup, now_ms: float, falling: Sequence[FallSpan]) -> bool:
        over_ms = now_ms - group.span.to_ms
        held = any(same_fall(group.span, span, self._width_px) for span in falling)
        return over_ms >= (HOLD_MS if held else SETTLE_MS)
