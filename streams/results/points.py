"""Points: one measurement at one time, from values that rows carry. Pure; the names are those of the catalogue.

A store knows a point by measurement, tags and time, and a repeated write replaces it. Points that each stand for one
thing (a finding, an attempt) therefore carry a ``key``: the spool gives every key of a millisecond its own nanosecond.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.findings import Finding
from contracts.hops import Hop
from contracts.incident_measurements import DeliveryAttempted, FindingTaken, IncidentChanged
from streams.results.histogram import LatencyHistogram

NS_PER_MS = 1_000_000
FieldValue = bool | int | float


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One point. ``tags`` are sorted by name and never empty strings; ``key`` "" means that its time is its own."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: dict[str, FieldValue]
    at_ns: int
    key: str = ""

    @property
    def series(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Measurement and tags."""
        return self.measurement, self.tags


def point(measurement: str, tags: Mapping[str, str], fields: dict[str, FieldValue], at_ms: int, key: str = "") -> Point:
    """Return a point at ``at_ms``; tags without a value are left out."""
    return Point(measurement, tuple(sorted((k, v) for k, v in tags.items() if v)), fields, at_ms * NS_PER_MS, key)


def finding_point(finding: Finding) -> Point:
    """Return a finding, at the event time that decided it."""
    tags = {
        "site": finding.site_id,
        "rule": finding.rule,
        "severity": finding.severity.value,
        "phase": finding.phase.value,
        "origin": finding.origin.value,
    }
    fields: dict[str, FieldValue] = {
        "n": 1,
        "confidence": float(finding.confidence),
        "verified": finding.verified,
        "late_by_ms": finding.late_by_ms,
    }
    return point("findings", tags, fields, finding.decided_ms, finding.finding_id)


def incident_point(change: IncidentChanged) -> Point:
    """Return a change of an incident, at its time."""
    tags = {
        "site": change.site_id,
        "rule": change.rule,
        "severity": change.severity,
        "origin": change.origin,
        "change": change.change,
        "state": change.state,
    }
    fields: dict[str, FieldValue] = {"n": 1, "age_ms": max(0, change.at_ms - change.opened_ms)}
    return point("incidents", tags, fields, change.at_ms, f"change/{change.seq}")


def taken_point(taken: FindingTaken) -> Point:
    """Return how long after its due time a finding was taken in by an incident."""
    took_ms = taken.taken_ms - taken.due_ms
    return single_hop(taken.site_id, Hop.DUE_TO_INCIDENT, took_ms, taken.taken_ms, taken.finding_id)


def delivered_point(attempt: DeliveryAttempted) -> Point:
    """Return how long a delivery that succeeded took since its row was written."""
    done_ms, key = attempt.at_ms + attempt.took_ms, f"{attempt.delivery_id}/{attempt.nth}"
    return single_hop(attempt.site_id, Hop.INCIDENT_TO_DELIVERED, done_ms - attempt.created_ms, done_ms, key)


def delivery_point(attempt: DeliveryAttempted) -> Point:
    """Return an attempt, at the time it began."""
    tags = {
        "site": attempt.site_id,
        "receiver": attempt.receiver,
        "news": attempt.news,
        "outcome": attempt.outcome,
        "origin": attempt.origin,
    }
    age_ms = max(0, attempt.at_ms + attempt.took_ms - attempt.created_ms)
    fields: dict[str, FieldValue] = {"n": 1, "nth": attempt.nth, "took_ms": attempt.took_ms, "age_ms": age_ms}
    return point("deliveries", tags, fields, attempt.at_ms, f"attempt/{attempt.delivery_id}/{attempt.nth}")


def hop_point(site_id: str, hop: Hop, latencies: LatencyHistogram, at_ms: int, key: str = "") -> Point:
    """Return latencies of one hop; with a ``key`` where they are a single one's."""
    return point("hops", {"site": site_id, "hop": hop.value}, latencies.fields(), at_ms, key)


def single_hop(site_id: str, hop: Hop, took_ms: int, at_ms: int, key: str) -> Point:
    """Return one latency of one hop."""
    latencies = LatencyHistogram()
    latencies.add(took_ms)
    return hop_point(site_id, hop, latencies, at_ms, f"{hop.value}/{key}")


def loss_point(cause: str, count: int, at_ms: int, key: str) -> Point:
    """Return the point that says what results do not hold."""
    return point("losses", {"cause": cause}, {"n": count}, at_ms, f"loss/{key}")
