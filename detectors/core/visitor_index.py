"""Registered visitors in two orders: who ends when, and how many are expected at a door. Pure.

A site may have 20,000 registrations. Each passage asks whether somebody is expected, and each registration ends those
that are long over: neither may look at all of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush

from contracts.events import VisitorRegistered

_EVERY_DOOR = ""
_SPARE = 64


class _Periods:
    """From when to when; those that never begin before they end are left out."""

    __slots__ = ("begins", "ends")

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []

    def at(self, at_ms: int) -> int:
        """Return how many of them hold ``at_ms``: those that have begun, without those that were over before."""
        return bisect_right(self.begins, at_ms) - bisect_left(self.ends, at_ms)


class VisitorIndex:
    """Made of a site's registrations, and told of each that comes or goes."""

    __slots__ = ("_ends", "_periods")

    def __init__(self, visitors: Mapping[str, VisitorRegistered]) -> None:
        self._periods: dict[str, _Periods] = {}
        for visitor in visitors.values():
            for periods in self._periods_of(visitor):
                periods.begins.append(visitor.from_ms)
                periods.ends.append(visitor.to_ms)
        for periods in self._periods.values():
            periods.begins.sort()
            periods.ends.sort()
        self._ends = _ends_of(visitors)

    def add(self, visitor: VisitorRegistered) -> None:
        """Take one in that is not there yet."""
        for periods in self._periods_of(visitor):
            insort(periods.begins, visitor.from_ms)
            insort(periods.ends, visitor.to_ms)
        heappush(self._ends, (visitor.to_ms, visitor.registration_id))

    def remove(self, visitor: VisitorRegistered) -> None:
        """Take one out that is there. Its end stays in the heap until it comes up, or the heap is made anew."""
        for periods in self._periods_of(visitor):
            del periods.begins[bisect_left(periods.begins, visitor.from_ms)]
            del periods.ends[bisect_left(periods.ends, visitor.to_ms)]

    def ended(self, visitors: Mapping[str, VisitorRegistered], before_ms: int) -> list[str]:
        """Return which of ``visitors`` ended before ``before_ms``; whoever asks drops them."""
        if len(self._ends) > 2 * len(visitors) + _SPARE:
            self._ends = _ends_of(visitors)
        ended: list[str] = []
        while self._ends and self._ends[0][0] < before_ms:
            to_ms, key = heappop(self._ends)
            visitor = visitors.get(key)
            if visitor is not None and visitor.to_ms == to_ms and key not in ended[-1:]:
                ended.append(key)
        return ended

    def expected(self, door_id: str, at_ms: int, apart_from: Iterable[VisitorRegistered]) -> bool:
        """Return whether somebody besides ``apart_from`` may pass this door at ``at_ms``."""
        here = (_EVERY_DOOR, door_id)
        count = sum(periods.at(at_ms) for name in here if (periods := self._periods.get(name)) is not None)
        return count > sum(_may_pass(visitor, door_id, at_ms) for visitor in apart_from)

    def _periods_of(self, visitor: VisitorRegistered) -> list[_Periods]:
        if visitor.from_ms > visitor.to_ms:
            return []
        doors: Collection[str] = set(visitor.door_ids) or (_EVERY_DOOR,)
        return [self._periods.setdefault(door_id, _Periods()) for door_id in doors]


def _ends_of(visitors: Mapping[str, VisitorRegistered]) -> list[tuple[int, str]]:
    ends = [(visitor.to_ms, key) for key, visitor in visitors.items()]
    heapify(ends)
    return ends


def _may_pass(visitor: VisitorRegistered, door_id: str, at_ms: int) -> bool:
    return visitor.from_ms <= at_ms <= visitor.to_ms and (not visitor.door_ids or door_id in visitor.door_ids)
