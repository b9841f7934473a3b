"""What ingest says of itself, one event per site. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.events import INGEST_SOURCE, ClockStepped, IngestInterrupted, event_header

SitePlaces = Iterable[tuple[str, str]]
"""(site, the place id that stands for the whole of it)."""


def interruptions(run: str, sites: SitePlaces, from_ms: int, to_ms: int) -> list[IngestInterrupted]:
    """Return the events that say that QoS 0 devices were not heard between these times.

    The events lie at ``from_ms``, where time was last proven: rules then learn of the gap before any deadline in it,
    and they are not late, since no watermark has passed that time.
    """
    return [
        IngestInterrupted(
            **event_header(site_id, INGEST_SOURCE, place_id, from_ms, f"{run}-gap-{to_ms}-{site_id}"[:80]),
            received_ms=to_ms,
            from_ms=from_ms,
            to_ms=to_ms,
        )
        for site_id, place_id in sites
    ]


def clock_shifts(run: str, sites: SitePlaces, shift_ms: int, line_ms: int, now_ms: int) -> tuple[ClockStepped, ...]:
    """Return that the log's time moves by ``shift_ms`` and is ``now_ms`` from here on; ``line_ms`` never jumps."""
    return tuple(
        ClockStepped(
            **event_header(site_id, INGEST_SOURCE, place_id, now_ms, f"{run}-shift-{line_ms}-{site_id}"[:80]),
            received_ms=now_ms,
            step_ms=shift_ms,
            shift_ms=shift_ms,
        )
        for site_id, place_id in sites
    )
