"""Events, logs and runs for the engine's tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from contracts.batch import Batch
from contracts.events import (
    CONFIG_SOURCE,
    AccessAttempted,
    AnyEvent,
    Credential,
    DeviceConfigured,
    DeviceReported,
    Direction,
    DoorChanged,
    DoorState,
    Event,
    ObjectLabel,
    ObjectObserved,
    PassageObserved,
    ThresholdConfigured,
    TrackPhase,
)
from contracts.findings import Finding, Output
from contracts.names import DeviceClass
from detectors.core.rule import Rule
from streams.engine.engine import Engine

T0 = 1_800_000_000_000
FAR_MS = T0 + 100 * 3_600_000
LOG_ID = "log1"

E = TypeVar("E", bound=Event)


def of(kind: type[E], event_id: str, at_ms: int, source_id: str = "d1", **more: Any) -> E:
    """An event of ``kind`` at ``T0 + at_ms``, received at once unless told otherwise."""
    base: dict[str, Any] = {"site_id": "s1", "place_id": f"p-{source_id}"[:40]}
    base |= {"received_ms": at_ms} | more
    base["received_ms"] += T0
    return kind(event_id=event_id, at_ms=T0 + at_ms, source_id=source_id, **base)


def access(event_id: str, at_ms: int, source_id: str = "d1", *, granted: bool = True, **more: Any) -> AccessAttempted:
    """An access attempt by card."""
    return of(AccessAttempted, event_id, at_ms, source_id, credential=Credential.CARD, granted=granted, **more)


def passage(event_id: str, at_ms: int, source_id: str = "c1", **more: Any) -> PassageObserved:
    """One person going in."""
    return of(PassageObserved, event_id, at_ms, source_id, direction=Direction.IN, track_id=1, **more)


def door(event_id: str, at_ms: int, source_id: str = "d1", *, state: DoorState, **more: Any) -> DoorChanged:
    """A door's contact."""
    return of(DoorChanged, event_id, at_ms, source_id, state=state, **more)


def reported(event_id: str, at_ms: int, source_id: str = "d1", **more: Any) -> DeviceReported:
    """A sign of life."""
    return of(DeviceReported, event_id, at_ms, source_id, **more)


def seen(event_id: str, at_ms: int, source_id: str = "c1", **more: Any) -> ObjectObserved:
    """A bicycle in a zone."""
    fields: dict[str, Any] = {"label": ObjectLabel.BICYCLE, "phase": TrackPhase.PRESENT, "track_id": 1, "score": 0.9}
    return of(ObjectObserved, event_id, at_ms, source_id, **(fields | more))


def device(version: int, at_ms: int, device_id: str, **more: Any) -> DeviceConfigured:
    """A device's configuration record."""
    fields: dict[str, Any] = {"device_id": device_id, "device_class": DeviceClass.GATE, "version": version}
    return of(DeviceConfigured, f"config-{version}", at_ms, CONFIG_SOURCE, **(fields | more))


def threshold(version: int, at_ms: int, rule: str, name: str, value: float, **more: Any) -> ThresholdConfigured:
    """A threshold's configuration record."""
    fields: dict[str, Any] = {"rule": rule, "name": name, "value": value, "version": version}
    return of(ThresholdConfigured, f"config-{version}", at_ms, CONFIG_SOURCE, **(fields | more))


def batch(watermark_ms: int | None, *events: AnyEvent, partition: int = 0) -> Batch:
    """A batch with its watermark at ``T0 + watermark_ms`` (None: 0, which says nothing)."""
    return Batch(partition=partition, watermark_ms=0 if watermark_ms is None else T0 + watermark_ms, events=events)


def engine_of(rules: Sequence[Rule[Any]], **more: Any) -> Engine:
    """A new engine for partition 0 of 1."""
    settings: dict[str, Any] = {"partition": 0, "partitions": 1, "log_id": LOG_ID}
    return Engine(rules, **(settings | more))


def feed_all(engine: Engine, log: Iterable[Batch]) -> list[Output]:
    """The outputs of a log from the engine's next position on."""
    return [output for record in log for output in engine.feed(record, engine.next_position)]


def judge(rules: Sequence[Rule[Any]], *log: Batch) -> list[Output]:
    """The outputs of a whole log."""
    return feed_all(engine_of(rules), log)


def findings(outputs: Iterable[Output]) -> list[Finding]:
    """The findings among outputs, in order."""
    return [output for output in outputs if isinstance(output, Finding)]


def bare(output: Output) -> Output:
    """An output as runs are compared: without the position and number that depend on how the log was cut."""
    return msgspec.structs.replace(output, position=0, number=0)


def by_site(outputs: Iterable[Output]) -> dict[str, list[Output]]:
    """Each site's outputs in order, bare."""
    sites: dict[str, list[Output]] = {}
    for output in outputs:
        sites.setdefault(output.site_id, []).append(bare(output))
    return sites
