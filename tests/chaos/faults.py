"""What goes wrong and when: a pure function of the seed, the length and the table. Nothing here touches a process."""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping

import msgspec


class FaultKind(enum.StrEnum):
    """One thing that goes wrong."""

    WORKER_KILLED = "worker killed"
    WORKER_STOPPED = "worker stood still"
    WORKER_ENDED = "worker ended in order"
    WORKERS_ADDED = "one worker became three"
    WORKERS_REMOVED = "three workers became one"
    KAFKA_KILLED = "kafka killed"
    KAFKA_PAUSED = "kafka stood still"
    INGEST_KILLED = "ingest killed"
    INGEST_PAUSED = "ingest stood still"
    INGEST_DOUBLED = "two owners of one shard"
    MQTT_CUT = "the way to the device broker cut"
    MQTT_PAUSED = "device broker stood still"
    MQTT_KILLED = "device broker killed"
    POSTGRES_KILLED = "postgresql killed"
    INFLUX_KILLED = "influxdb killed"
    INCIDENTS_KILLED = "incidents killed"
    RESULTS_KILLED = "results killed"
    CLOCK_MOVED = "the clock of ingest's machine elsewhere"
    DISK_FULL = "the disk of ingest and results full"
    POWER_CUT = "a power cut"
    ID_STOLEN = "a device under ingest's client id"


DEAF = frozenset(
    {FaultKind.INGEST_KILLED, FaultKind.INGEST_PAUSED, FaultKind.INGEST_DOUBLED, FaultKind.MQTT_CUT}
    | {FaultKind.MQTT_PAUSED, FaultKind.MQTT_KILLED, FaultKind.KAFKA_KILLED, FaultKind.KAFKA_PAUSED}
    | {FaultKind.CLOCK_MOVED, FaultKind.POWER_CUT}
)
"""While one of these lasts nobody listens to devices, what they say is not written down, or the time is not known."""


class Fault(msgspec.Struct, frozen=True, order=True):
    """Begins ``at_s`` after the start and lasts ``for_s``; ``target`` picks one of several parts of a kind."""

    at_s: float
    kind: FaultKind
    for_s: float
    target: int = 0


class Row(msgspec.Struct, frozen=True):
    """How likely a kind is beside the others of its lane, and how long it lasts, seconds."""

    weight: float
    for_s: tuple[float, float]


class Lane(msgspec.Struct, frozen=True):
    """Faults that come one after another: the next begins ``every_s`` after the last one began, or was over."""

    every_s: tuple[float, float]
    rows: Mapping[FaultKind, Row]
    overlap: bool = False


KILLS = Lane((8.0, 16.0), {FaultKind.WORKER_KILLED: Row(1, (0, 0))}, overlap=True)
"""LOG and issue alike: a worker dies every 8-16 s."""
WORKERS = Lane(
    (8.0, 16.0),
    {
        FaultKind.WORKER_KILLED: Row(3, (0, 0)),
        FaultKind.WORKER_STOPPED: Row(2, (12, 20)),
        FaultKind.WORKER_ENDED: Row(1, (0, 0)),
    },
    overlap=True,
)
LISTENING = Lane(
    (5.0, 8.0),
    {
        FaultKind.INGEST_KILLED: Row(1, (0, 0)),
        FaultKind.INGEST_PAUSED: Row(1, (6, 10)),
        FaultKind.INGEST_DOUBLED: Row(1, (9, 12)),
        FaultKind.MQTT_CUT: Row(1, (4, 6)),
        FaultKind.MQTT_PAUSED: Row(1, (3, 6)),
        FaultKind.KAFKA_KILLED: Row(1, (1, 2)),
        FaultKind.KAFKA_PAUSED: Row(1, (8, 12)),
        FaultKind.CLOCK_MOVED: Row(1, (8, 10)),
        FaultKind.POWER_CUT: Row(1, (2, 4)),
        FaultKind.ID_STOLEN: Row(1, (2, 4)),
    },
)
"""The way from devices to the log."""
STORES = Lane(
    (8.0, 12.0),
    {
        FaultKind.POSTGRES_KILLED: Row(1, (4, 8)),
        FaultKind.INFLUX_KILLED: Row(1, (5, 10)),
        FaultKind.INCIDENTS_KILLED: Row(1, (0, 0)),
        FaultKind.RESULTS_KILLED: Row(1, (0, 0)),
        FaultKind.DISK_FULL: Row(1, (4, 8)),
    },
)
"""What findings become."""
LONG_LISTENING = Lane(
    (15.0, 35.0),
    {
        **LISTENING.rows,
        FaultKind.KAFKA_PAUSED: Row(1, (30, 30)),
        FaultKind.INGEST_PAUSED: Row(1, (10, 25)),
        FaultKind.MQTT_KILLED: Row(1, (2, 6)),
    },
)
LONG_STORES = Lane(
    (15.0, 30.0),
    {**STORES.rows, FaultKind.POSTGRES_KILLED: Row(1, (10, 40)), FaultKind.INFLUX_KILLED: Row(1, (20, 60))},
)
"""What a quarter of an hour and more has time for."""


def plan(seed: int, seconds: float, lanes: tuple[Lane, ...], *, scale: bool = False) -> tuple[Fault, ...]:
    """The faults of a run, by time; the last one is over before ``seconds``.

    Every lane deals its kinds like cards: each has come before one comes again, as far as weights allow.

    Args:
        scale: one worker becomes three after a fifth of the time, and one again after four fifths.
    """
    faults: list[Fault] = []
    for number, lane in enumerate(lanes):
        faults += _lane(random.Random(f"{seed}/{number}"), seconds, lane)
    if scale:
        faults.append(Fault(seconds * 0.2, FaultKind.WORKERS_ADDED, 0.0))
        faults.append(Fault(seconds * 0.8, FaultKind.WORKERS_REMOVED, 0.0))
    return tuple(sorted(faults))


def _lane(rng: random.Random, seconds: float, lane: Lane) -> list[Fault]:
    faults: list[Fault] = []
    cards: list[FaultKind] = []
    at_s = rng.uniform(*lane.every_s)
    while at_s < seconds:
        cards = cards or _shuffled(rng, lane)
        kind = cards.pop()
        for_s = rng.uniform(*lane.rows[kind].for_s)
        if at_s + for_s < seconds:
            faults.append(Fault(at_s, kind, for_s, rng.randrange(1_000)))
        at_s += rng.uniform(*lane.every_s) + (0.0 if lane.overlap else for_s)
    return faults


def _shuffled(rng: random.Random, lane: Lane) -> list[FaultKind]:
    """Every kind so often as its weight says, in any order."""
    cards = [kind for kind, row in lane.rows.items() for _ in range(round(row.weight))]
    rng.shuffle(cards)
    return cards
