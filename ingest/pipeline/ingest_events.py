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


def clock_steps(run: str, sites: SitePlaces, step_ms: int, now_ms: int) -> list[ClockStepped]:
    """Return the wall clock jumped by ``step_ms``."""
    return [
        ClockStepped(
            **event_header(site_id, INGEST_SOURCE, place_id, now_ms, f"{run}-step-{now_ms}-{site_id}"[:80]),
            received_ms=now_ms,
            step_ms=step_ms,
        )
        for site_id, place_id in sites
    ]
