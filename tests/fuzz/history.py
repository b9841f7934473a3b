"""What a community lived through in one run: a part of a day of one site or two, and what went wrong. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from contracts.events import ConfigurationRecord, Event
from tests.detectors.builders import HOUR, T0
from tests.detectors.lives import SPAN_MS, life
from tests.fuzz import happenings
from tests.fuzz.happenings import Site

WEEK_MS = 7 * 24 * HOUR
S = TypeVar("S")

HAPPENINGS: dict[str, Callable[[random.Random, Site], None]] = {
    "thresholds changed": happenings.change_thresholds,
    "a storm": happenings.storm,
    "taken out and put back": happenings.take_out_and_put_back,
    "sent again": happenings.send_again,
    "power cut": happenings.cut_power,
    "ingest away": happenings.interrupt_ingest,
    "stored backlog": happenings.store_backlog,
}
DISORDERLY = frozenset(("power cut", "ingest away", "stored backlog"))
"""After these some events are later than any rule waits: then only another run over the same log says what is right."""


class History(msgspec.Struct, frozen=True):
    """Events by site as they came to ingest, in order of arrival. ``doubles`` are those of them that came before."""

    sites: dict[str, list[Event]]
    doubles: dict[str, list[Event]]
    orderly: bool


def history(rng: random.Random, names: Sequence[str], *, neighbour: bool) -> History:
    """Return what happened: half a day or a part of it, with the happenings of these names at the first site."""
    seed = rng.randrange(2**32)
    site = Site("s1", _window(rng, life(seed, "s1")))
    for name, happen in HAPPENINGS.items():  # in one order: a storm comes before it is sent again
        if name in names:
            happen(rng, site)
    sites, doubles = {"s1": _numbered(site.events)}, {"s1": site.doubles}
    if neighbour:
        sites["s2"], doubles["s2"] = life(seed + 1, "s2"), []
    return History(sites, doubles, orderly=not DISORDERLY & set(names))


def _window(rng: random.Random, events: Sequence[Event]) -> list[Event]:
    """Return an hour or some of it, now and then the whole; what was configured before always."""
    if rng.random() < 0.15:
        return list(events)
    span_ms = rng.randrange(HOUR, 4 * HOUR)
    from_ms = T0 + rng.randrange(SPAN_MS - span_ms)
    return [event for event in events if isinstance(event, ConfigurationRecord) or 0 <= event.at_ms - from_ms < span_ms]


def _numbered(events: Sequence[Event]) -> list[Event]:
    """Return the events with the configuration's versions in order of its time, as the inventory gives them."""
    records = sorted((e for e in events if isinstance(e, ConfigurationRecord)), key=lambda r: (r.at_ms, r.version))
    numbers = {id(record): number for number, record in enumerate(records, start=1)}
    return [
        msgspec.structs.replace(event, version=numbers[id(event)], event_id=f"config-{numbers[id(event)]}")
        if isinstance(event, ConfigurationRecord)
        else event
        for event in events
    ]


def moved(value: S, by_ms: int) -> S:
    """Return the same at another time: every moment in it, however deep, lies ``by_ms`` later; lengths stay."""
    return _moved(value, by_ms, is_time=False)  # type: ignore[no-any-return]


def _moved(value: Any, by_ms: int, *, is_time: bool) -> Any:
    if isinstance(value, msgspec.Struct):
        names = type(value).__struct_fields__
        changed = {name: _moved(getattr(value, name), by_ms, is_time=name.endswith("_ms")) for name in names}
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(_moved(each, by_ms, is_time=is_time) for each in value)
    return value + by_ms if is_time and type(value) is int and value > T0 // 2 else value
