"""What sites live through, as logs: with duplicates, late and stored events, drains, configuration and broken rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from contracts.batch import Batch
from contracts.events import AccessAttempted, AnyEvent, BacklogDrained, DoorState
from tests.streams.support import T0, access, device, door, of, passage, reported, seen, threshold

SITES = ("s1", "s2", "s3")
MISDEEDS = ("raise_in_keys", "many_keys", "unsorted_keys", "raise", "large", "early", "stuck", "raise_later", "tell")

SAYINGS: tuple[Callable[..., AnyEvent], ...] = (
    partial(access, granted=False),
    partial(access, granted=True),
    passage,
    partial(door, state=DoorState.OPEN),
    partial(door, state=DoorState.CLOSED),
    partial(of, BacklogDrained, spool_id="sp1"),
    reported,
    seen,
)


def history(seed: int, events: int = 1_500) -> list[Batch]:
    """A log of about ``events`` events over half a minute of event time per hundred, ending in an hour of quiet."""
    rng = random.Random(seed)
    span_ms = events * 300
    lived = configuration() + [_lived(rng, n, rng.randrange(span_ms)) for n in range(events)]
    lived += [_again(rng, event) for event in lived if rng.random() < 0.03]
    lived.sort(key=lambda event: event.received_ms)
    return [*cut(rng, lived), *(Batch(partition=0, watermark_ms=T0 + span_ms + 600_000 * n) for n in range(1, 7))]


def configuration() -> list[AnyEvent]:
    """Every site's records: two devices and a threshold."""
    return [
        record
        for site_id in SITES
        for record in (
            device(1, 0, "d1", site_id=site_id),
            device(2, 0, "d2", site_id=site_id),
            threshold(3, 0, "held", "held_ms", 20_000, site_id=site_id),
        )
    ]


def cut(rng: random.Random, events: Sequence[AnyEvent]) -> list[Batch]:
    """``events`` (by ``received_ms``) as batches of 1–12, each with a watermark its writer may give, often 0."""
    batches = []
    start = 0
    while start < len(events):
        end = min(start + rng.randrange(1, 13), len(events))
        after_ms = events[end].received_ms if end < len(events) else events[-1].received_ms + 1
        watermark_ms = 0 if rng.random() < 0.2 else max(after_ms - 1 - rng.choice((0, 0, 20, 3_000)), 0)
        batches.append(Batch(partition=0, watermark_ms=watermark_ms, events=tuple(events[start:end])))
        start = end
    return batches


def _lived(rng: random.Random, n: int, at_ms: int) -> AnyEvent:
    site_id, source_id = rng.choice(SITES), rng.choice(("d1", "d2", "c1"))
    said = rng.choice(SAYINGS)
    event = said(f"e{n}", at_ms, source_id, site_id=site_id, place_id="door1")
    if isinstance(event, AccessAttempted) and not event.granted:
        event = msgspec.structs.replace(event, reason=rng.choice(MISDEEDS))
    fate = rng.random()
    if fate < 0.05:
        return msgspec.structs.replace(event, received_ms=event.received_ms + rng.randrange(60_000))
    if fate < 0.10:
        received_ms = (event.received_ms // 60_000 + 1) * 60_000 + n
        return msgspec.structs.replace(event, received_ms=received_ms, stored=True)
    return msgspec.structs.replace(event, received_ms=event.received_ms + rng.randrange(180))


def _again(rng: random.Random, event: AnyEvent) -> AnyEvent:
    return msgspec.structs.replace(event, received_ms=event.received_ms + rng.randrange(1, 5_000))
