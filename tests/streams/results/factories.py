"""Points, logs and stores for the tests of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.batch import Batch
from contracts.errors import Transient
from contracts.events import AnyEvent, DeviceConfigured, PlaceConfigured, PowerSampled
from contracts.findings import Finding
from contracts.hops import Hop
from contracts.incident_measurements import DeliveryAttempted, IncidentChanged
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse
from inventory.directory import MemoryDirectory
from streams.results.points import Point, delivery_point, finding_point, incident_point, point, single_hop
from streams.results.query import TimeRange
from tests.incidents.builders import T0, make_finding

HOUR_MS = 3_600_000
T = T0 - T0 % HOUR_MS
"""A full hour."""


Kept = dict[tuple[str, tuple[tuple[str, str], ...], int], dict[str, Any]]


class Keeping:
    """A target that keeps points as a store does; ``away`` makes it fail."""

    def __init__(self) -> None:
        self.points: Kept = {}
        self.away: Transient | None = None
        self.writes = 0

    def write(self, points: Sequence[Point]) -> None:
        self.writes += 1
        if self.away is not None:
            raise self.away
        for p in points:
            key = (p.measurement, p.tags, p.at_ns)
            self.points[key] = {**self.points.get(key, {}), **p.fields}


class FindingsList:
    """Findings by number, as the engine's store gives them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = list(findings)

    def identity(self) -> str:
        return "list"

    def findings_after(self, n: int, limit: int) -> list[tuple[int, Finding]]:
        return [(n + i + 1, finding) for i, finding in enumerate(self.findings[n : n + limit])]


def attempt(number: int, age_ms: int, *, at_ms: int = T, outcome: str = "delivered") -> DeliveryAttempted:
    """An attempt that ended ``age_ms`` after its delivery was written."""
    return DeliveryAttempted(
        delivery_id=f"d{number}",
        nth=1,
        site_id="s1",
        receiver="webhook",
        news="opened",
        outcome=outcome,
        origin="live",
        created_ms=at_ms + 10 - age_ms,
        at_ms=at_ms,
        took_ms=10,
    )


def change(seq: int, *, kind: str = "opened", site: str = "s1", at_ms: int = T) -> IncidentChanged:
    """A change of an incident."""
    return IncidentChanged(
        seq=seq,
        site_id=site,
        rule="stranger_entry",
        severity="major",
        origin="live",
        change=kind,
        state="new",
        opened_ms=at_ms,
        at_ms=at_ms,
    )


def a_day() -> list[Point]:
    """Points of every measurement over three hours, at two sites."""
    found = []
    for n in range(60):
        at_ms, site = T + n * 120_000, f"s{n % 2 + 1}"
        rule = "indoor_ebike" if n % 3 else "smoke_or_heat"
        found.append(finding_point(make_finding(rule=rule, site=site, onset_ms=at_ms)))
        found.append(incident_point(change(n, site=site, at_ms=at_ms)))
        found.append(
            delivery_point(attempt(n, 20 + n * 7, at_ms=at_ms, outcome="retry" if n % 5 == 4 else "delivered"))
        )
        found += [single_hop(site, hop, n * 37 % 2_000, at_ms, f"{hop}/{n}") for hop in Hop]
        health = {"known": 5, "heard": n % 5, "offline": n % 2, "unhealthy": 0, "events": n, "stored": 0}
        found.append(point("devices", {"site": site, "class": "gate"}, dict(health), at_ms - at_ms % 300_000))
        power = {"mean_w": n * 1.5, "max_w": n * 2.0, "energy_kwh": n / 1000, "meters": 3, "samples": 40}
        tags = {"site": site, "building": "b1", "circuit": "common"}
        found.append(point("power", tags, dict(power), at_ms - at_ms % 900_000))
    return found


DAY = TimeRange(T - HOUR_MS, T + 4 * HOUR_MS)


def sample(second: float, power_w: float, meter: str = "m1", **changes: Any) -> PowerSampled:
    """A reading, ``second`` after ``T``."""
    at_ms = T + int(second * 1000)
    values: dict[str, Any] = {
        "event_id": f"{meter}-{at_ms}",
        "site_id": "s1",
        "source_id": meter,
        "place_id": "hall",
        "at_ms": at_ms,
        "received_ms": at_ms + 40,
        "power_w": power_w,
    }
    return PowerSampled(**(values | changes))


def batch(watermark_s: float, *events: AnyEvent) -> Batch:
    """A batch whose watermark is so many seconds after ``T``."""
    return Batch(partition=0, watermark_ms=T + int(watermark_s * 1000), events=events)


def meter_book(dwellings: int = 0, *, consented: bool = True) -> MemoryDirectory:
    """Site s1: building b1 with a hall whose meter is m1, and dwellings with meters d0, d1, …"""
    base: dict[str, Any] = {"event_id": "c", "site_id": "s1", "source_id": "config", "place_id": "s1", "at_ms": 0}
    hall = Place(place_id="hall", kind=PlaceKind.ZONE, use=PlaceUse.COMMON, building="b1")
    meter: dict[str, Any] = {"device_class": DeviceClass.METER, **base}
    directory = MemoryDirectory([PlaceConfigured(**base, version=1, place=hall)])
    directory.apply(DeviceConfigured(**{**meter, "place_id": "hall"}, version=2, device_id="m1"))
    for n in range(dwellings):
        room = Place(place_id=f"r{n}", kind=PlaceKind.ROOM, use=PlaceUse.DWELLING, building="b1")
        directory.apply(PlaceConfigured(**base, version=10 + n, place=room))
        home = {**meter, "place_id": f"r{n}", "consented": consented}
        directory.apply(DeviceConfigured(**home, version=50 + n, device_id=f"d{n}"))
    return directory
