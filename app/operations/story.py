"""The story of one event, finding, incident or delivery as a list of steps with times and latencies. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.hops import Hop
from contracts.incidents import DeliveryState
from delivery.deliveries import Delivery
from incidents.store.records import Incident
from streams.checkpoints.sqlite_lookup import StoredFinding
from streams.log.event_lookup import LoggedEvent

CLOCKS_DIFFER_MS = 2_000


class TracedAttempt(msgspec.Struct, frozen=True):
    """One attempt of a delivery."""

    nth: int
    at_ms: int
    took_ms: int
    outcome: str
    detail: str


class TracedDelivery(msgspec.Struct, frozen=True):
    """A delivery with its attempts."""

    delivery: Delivery
    attempts: tuple[TracedAttempt, ...] = ()


class TracedFinding(msgspec.Struct, frozen=True):
    """A finding as it is known: kept by the rules' reader, taken by the intake, or both (a time of 0: not known)."""

    kept: StoredFinding
    taken_ms: int = 0


class Story(msgspec.Struct, frozen=True):
    """Everything that was found under one id."""

    trace: str
    event: LoggedEvent | None = None
    findings: tuple[TracedFinding, ...] = ()
    incidents: tuple[Incident, ...] = ()
    deliveries: tuple[TracedDelivery, ...] = ()
    missing: tuple[str, ...] = ()
    """What should be there and is not, a sentence each."""


class TraceStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: what happened when, and how long the stretch of the way before it took."""

    at_ms: int
    what: str
    detail: str
    hop: Hop | None = None
    took_ms: int | None = None


def steps_of(story: Story) -> list[TraceStep]:
    """Return the story in its order: device, log, findings, incidents, deliveries."""
    first_ms = min((judged.taken_ms for judged in story.findings if judged.taken_ms), default=0)
    steps = _of_event(story.event, first_ms) if story.event else []
    for judged in story.findings:
        steps += _of_finding(judged, story.event)
    for incident in story.incidents:
        detail = f"{incident.site_id} {incident.number} {incident.scenario} {incident.state} id={incident.incident_id}"
        steps.append(TraceStep(incident.opened_ms, "incident", detail))
    for told in story.deliveries:
        steps += _of_delivery(told)
    return steps


def _of_event(found: LoggedEvent, taken_ms: int) -> list[TraceStep]:
    event = found.event
    name = f"{event.site_id}/{event.source_id} {type(event).__struct_config__.tag} event={event.event_id}"
    accepted = TraceStep(
        event.received_ms, "accepted", "by ingest", *_hop(Hop.DEVICE_TO_ACCEPTED, event.at_ms, event.received_ms)
    )
    where = f"partition={found.partition} position={found.position}"
    if is_later(found.record_ms, taken_ms):
        durable = TraceStep(found.record_ms, "log", f"{where}, copied then")
    else:
        durable = TraceStep(
            found.record_ms, "log", where, *_hop(Hop.ACCEPTED_TO_DURABLE, event.received_ms, found.record_ms)
        )
    return [TraceStep(event.at_ms, "device", name), accepted, durable]


def _of_finding(judged: TracedFinding, event: LoggedEvent | None) -> list[TraceStep]:
    finding, kept_ms = judged.kept.finding, judged.kept.kept_ms
    name = f"{finding.rule} {finding.phase} position={finding.position} id={finding.finding_id}"
    if is_later(kept_ms, judged.taken_ms):
        again = TraceStep(kept_ms, "finding", f"{name}, judged again then")
        hop = _hop(Hop.DUE_TO_INCIDENT, finding.due_ms, judged.taken_ms)
        return [again, TraceStep(judged.taken_ms, "taken", "by incidents, the first time", *hop)]
    steps = [TraceStep(kept_ms, "finding", name, *_hop(Hop.DUE_TO_DECIDED, finding.due_ms, kept_ms))]
    if event is not None and event.position == finding.position:
        steps.append(
            TraceStep(kept_ms, "finding", "since the log", *_hop(Hop.DURABLE_TO_DECIDED, event.record_ms, kept_ms))
        )
    if judged.taken_ms:
        begin = (Hop.DECIDED_TO_INCIDENT, kept_ms) if kept_ms else (Hop.DUE_TO_INCIDENT, finding.due_ms)
        steps.append(TraceStep(judged.taken_ms, "taken", "by incidents", *_hop(*begin, judged.taken_ms)))
    return steps


def is_later(at_ms: int, taken_ms: int) -> bool:
    """Return whether what incidents took at one time was written anew at another: a copied log that is judged again.

    Clocks of hosts differ by two seconds at most, or the doctor says so.

    >>> is_later(60_000, 0), is_later(2_900, 1_000), is_later(60_000, 1_000)
    (False, False, True)
    """
    return bool(taken_ms) and at_ms - taken_ms > CLOCKS_DIFFER_MS


def _of_delivery(told: TracedDelivery) -> list[TraceStep]:
    row = told.delivery
    name = f"{row.kind} to {row.receiver}: {row.state}{f' ({row.reason})' if row.reason else ''} id={row.delivery_id}"
    steps = [TraceStep(row.created_ms, "delivery", name)]
    for made in told.attempts:
        last = made is told.attempts[-1] and row.state is DeliveryState.DELIVERED
        hop = _hop(Hop.INCIDENT_TO_DELIVERED, row.created_ms, made.at_ms + made.took_ms) if last else (None, None)
        detail = f"{made.nth}: {made.outcome}{f' {made.detail}' if made.detail else ''}"
        steps.append(TraceStep(made.at_ms + made.took_ms, "attempt", detail, *hop))
    return steps


def _hop(hop: Hop, from_ms: int, to_ms: int) -> tuple[Hop | None, int | None]:
    """Return the hop and how long it took, unless one of its times is not known."""
    return (hop, to_ms - from_ms) if from_ms and to_ms else (None, None)


def lines_of(steps: Sequence[TraceStep]) -> list[str]:
    """Return the steps as text, one a line: UTC time, step, latency, hop, detail."""
    return [
        f"{_clock(step.at_ms):24}  {step.what:8}  {_latency(step):>11}  {step.hop or '':21}  {step.detail}".rstrip()
        for step in steps
    ]


def _clock(at_ms: int) -> str:
    import datetime

    if not at_ms:
        return "time not known"
    at = datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _latency(step: TraceStep) -> str:
    return "" if step.took_ms is None else f"{step.took_ms / 1000:+.3f} s"
