"""The one order of time in which a site releases: events, then deadlines of the same millisecond, then requests.

An entry of a site's queue is ``(release_ms, group, kind, first, second, third, n, payload)``: ``release_ms`` is its own
time plus the bound of its lateness group, so that popping gives the same sequence however the log was cut into batches.
In a group events go by (at_ms, source, seq, id), deadlines by (due_ms, rule, key). ``n`` (arrival) separates the rest.
"""

from __future__ import annotations

from typing import Any

import msgspec

Entry = tuple[int, int, int, str, "int | str", str, int, Any]

EVENT = 0
DEADLINE = 1
WINDOW = 2
AGAIN = 3


def is_at(entry: Entry, other: Entry) -> bool:
    """Return whether an event stands where the other one does: of one group, time, source, number and id."""
    return entry[0] == other[0] and entry[1:6] == other[1:6]


def is_copy(entry: Entry, other: Entry) -> bool:
    """Return whether one event is the other come again: it stands there, and says the same."""
    if not is_at(entry, other):
        return False
    one, again = entry[7], other[7]
    return bool(msgspec.structs.replace(one, received_ms=again.received_ms) == again)


REQUESTS = 1_000_000
"""The group of re-judging requests: after every rule's group of the same release time."""


class Frontier(msgspec.Struct, frozen=True, array_like=True):
    """The last release of a site's group (or source), as a snapshot keeps it; ``at_ms`` without the bound."""

    at_ms: int
    kind: int
    first: str
    second: int | str
    third: str


def frontier_of(entry: Entry, max_out_of_orderness_ms: int) -> Frontier:
    """Return the part of a released entry that lateness is judged by."""
    return Frontier(entry[0] - max_out_of_orderness_ms, entry[2], entry[3], entry[4], entry[5])


def entry_of(frontier: Frontier, max_out_of_orderness_ms: int, index: int) -> Entry:
    """Return the entry to compare with; its arrival is before any other's."""
    f = frontier
    return (f.at_ms + max_out_of_orderness_ms, index, f.kind, f.first, f.second, f.third, -1, None)
