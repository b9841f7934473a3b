"""What results consist of: every measurement with its tags and fields. Dashboards and docs use these names only. Pure.

No tag is an id of a device, person, incident or room: a store's index grows with every value a tag takes.
"""

from __future__ import annotations

import enum

import msgspec

from contracts.hops import HOP_BOUNDS_MS


class FieldKind(enum.StrEnum):
    """The type of a field; one name has one type forever, or InfluxDB refuses the points."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"


class Field(msgspec.Struct, frozen=True):
    """One field of a measurement."""

    kind: FieldKind
    meaning: str


class Measurement(msgspec.Struct, frozen=True):
    """One measurement: what its points say, the tags they all carry, and the fields they may carry."""

    meaning: str
    tags: tuple[str, ...]
    fields: dict[str, Field]


def _integer(meaning: str) -> Field:
    return Field(FieldKind.INTEGER, meaning)


def _float(meaning: str) -> Field:
    return Field(FieldKind.FLOAT, meaning)


def within(limit_ms: int) -> str:
    """Return the name of the field that counts latencies up to ``limit_ms``.

    >>> within(300)
    'within_300'
    """
    return f"within_{limit_ms}"


_N = _integer("1: sums count")

CATALOGUE: dict[str, Measurement] = {
    "findings": Measurement(
        "one point a finding, at the event time that decided it",
        ("site", "rule", "severity", "phase", "origin"),
        {
            "n": _N,
            "confidence": _float("0–1"),
            "verified": Field(FieldKind.BOOLEAN, "it does not rest on unproven absence"),
            "late_by_ms": _integer("how late its deciding event came, ms"),
        },
    ),
    "incidents": Measurement(
        "one point a change of an incident, at the time of the change",
        ("site", "rule", "severity", "origin", "change", "state"),
        {"n": _N, "age_ms": _integer("since it was opened, ms")},
    ),
    "deliveries": Measurement(
        "one point an attempt to tell a receiver, at the time it began",
        ("site", "receiver", "news", "outcome", "origin"),
        {
            "n": _N,
            "nth": _integer("which attempt of its delivery, from 1"),
            "took_ms": _integer("the attempt alone, ms"),
            "age_ms": _integer("from the delivery's row to the attempt's end, ms"),
        },
    ),
    "devices": Measurement(
        "the devices of a site and class, every five minutes of the log's time",
        ("site", "class"),
        {
            "known": _integer("devices in the inventory"),
            "heard": _integer("devices heard in these five minutes"),
            "offline": _integer("devices whose last word was that they are not connected"),
            "unhealthy": _integer("devices that say they are not well"),
            "events": _integer("events accepted, duplicates included"),
            "stored": _integer("of them, from a box's backlog"),
        },
    ),
    "power": Measurement(
        "a quarter hour of one kind of circuit of a building: common areas, or consenting dwellings together",
        ("site", "building", "circuit"),
        {
            "mean_w": _float("sum over the meters of each one's mean power, W"),
            "max_w": _float("highest sample of one meter, W; never of dwellings"),
            "energy_kwh": _float("mean_w over the quarter hour, kWh"),
            "meters": _integer("meters that spoke"),
            "samples": _integer("samples, at most one a second and meter"),
        },
    ),
    "hops": Measurement(
        "latencies of one hop: a minute of the log's time, or a single one of the incidents' side",
        ("site", "hop"),
        {
            "n": _integer("how many"),
            "sum_ms": _integer("their sum, ms"),
            "max_ms": _integer("the highest, ms"),
            "p50_ms": _float("median of this point alone, ms"),
            "p99_ms": _float("99th percentile of this point alone, ms"),
            **{within(bound): _integer(f"how many took at most {bound} ms") for bound in HOP_BOUNDS_MS},
        },
    ),
    "losses": Measurement(
        "what results do not hold: dropped by the spool's quota, refused by the server, gone from a source",
        ("cause",),
        {"n": _integer("points, or numbers of the source")},
    ),
}
"""name → measurement."""
