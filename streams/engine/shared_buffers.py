"""The buffers of a site's lateness groups in a row: an event that waits in several groups is written once.

A group's buffer is a tuple of events in order. Groups share most of their events: a queue that the broker held during
an outage waits in all of them. Folded, every event stands once, beside the groups that it waits in.
"""

from __future__ import annotations

import msgspec

from contracts.events import AnyEvent, ConfigurationRecord

Buffers = tuple[tuple[AnyEvent, ...], ...]


class SharedBuffers(msgspec.Struct, frozen=True, array_like=True):
    """The events in order, and for each the groups it waits in: bit n stands for group n."""

    events: tuple[AnyEvent, ...]
    waits_in: tuple[int, ...]


def fold(buffers: Buffers) -> SharedBuffers | None:
    """Return the buffers with each event once; None when no one order keeps the order of each of them.

    >>> fold(((), ()))
    SharedBuffers(events=(), waits_in=())
    """
    events: dict[int, AnyEvent] = {}
    waits_in: dict[int, int] = {}
    for number, buffer in enumerate(buffers):
        for event in buffer:
            events[id(event)] = event
            waits_in[id(event)] = waits_in.get(id(event), 0) | 1 << number
    ordered = sorted(events.values(), key=_place)
    shared = SharedBuffers(tuple(ordered), tuple(waits_in[id(event)] for event in ordered))
    again = unfold(shared, len(buffers))
    same = all(list(map(id, one)) == list(map(id, other)) for one, other in zip(again, buffers, strict=True))
    return shared if same else None


def _place(event: AnyEvent) -> tuple[int, str, int, str]:
    """Return an event's place among those that wait: release_order's, without the moment of arrival."""
    order = event.version if isinstance(event, ConfigurationRecord) else event.seq
    return event.at_ms, event.source_id, -1 if order is None else order, event.event_id


def unfold(shared: SharedBuffers, groups: int) -> Buffers:
    """Return the buffers of so many groups."""
    buffers: list[list[AnyEvent]] = [[] for _ in range(groups)]
    for event, waits_in in zip(shared.events, shared.waits_in, strict=True):
        for number, buffer in enumerate(buffers):
            if waits_in >> number & 1:
                buffer.append(event)
    return tuple(map(tuple, buffers))
