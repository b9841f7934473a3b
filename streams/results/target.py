"""The stores that results are written to, as a port: what they may answer, and what follows from it.

``Transient``: nothing is known to be kept; write the same again later. ``PointsRefused``: they are wrong, at least one
of them. ``TooLarge``: fewer at a time. A write is idempotent: a point replaces the one of its series and time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from contracts.errors import Permanent, Transient
from streams.results.points import Point


class StoreMisconfigured(Transient):
    """The store does not take anything from us: credentials, database or address. It waits for a person."""


class PointsRefused(Permanent):
    """The store says that something is wrong with these points."""


class TooLarge(Permanent):
    """The store takes fewer bytes at a time."""


class PointStore(Protocol):
    """Keeps points."""

    def write(self, points: Sequence[Point]) -> None:
        """Keep these points, all of them durably.

        Raises:
            Transient: the store is away, busy or full; ``retry_after_s`` is its own wish.
            StoreMisconfigured: it takes nothing before a person has changed something.
            Refused: at least one point is wrong; others may have been kept.
            TooLarge: too many at once; none was kept.
        """
        ...


class RejectedPoint(msgspec.Struct, frozen=True):
    """A point that the store does not take, and why."""

    point: Point
    reason: str


def write_isolating(target: PointStore, points: Sequence[Point]) -> list[RejectedPoint]:
    """Write ``points``; those that the store refuses are found by halving, so that their neighbours are kept.

    Raises:
        Transient: the store went away half-way; write the same again.
    """
    if not points:
        return []
    try:
        target.write(points)
    except (PointsRefused, TooLarge) as error:
        if len(points) == 1:
            return [RejectedPoint(points[0], str(error))]
        half = len(points) // 2
        return [*write_isolating(target, points[:half]), *write_isolating(target, points[half:])]
    return []
