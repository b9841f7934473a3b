"""Which processes make up the deployment that the settings describe: what each does, its command, its metrics. Pure."""

from __future__ import annotations

import itertools

import msgspec

from app.settings.settings import Settings

FIRST_PORT = 9310
"""Of metrics endpoints, unless ``metrics.port`` says otherwise."""


class Service(msgspec.Struct, frozen=True):
    """One process. ``arguments`` come after ``linli``; ``metrics_port`` None when metrics are off.

    ``secrets_of``: tables of the settings whose files it reads, ``receiver`` for all of those; every other secret is
    kept from it. ``writes_to``: tables whose folders it writes.
    """

    name: str
    does: str
    arguments: tuple[str, ...]
    secrets_of: frozenset[str]
    writes_to: frozenset[str] = frozenset()
    metrics_port: int | None = None


class ProcessCounts(msgspec.Struct, frozen=True):
    """How many processes of each kind that may be several."""

    shards: int = 2
    workers: int = 3
    incidents: int = 2


def services_of(settings: Settings, counts: ProcessCounts) -> list[Service]:
    """Return one entry a process, in order of start; boxes run beside their cameras and are not among them."""
    planned = _district(counts) if settings.log.on_kafka else [_MACHINE]
    if settings.metrics.port is None:
        return planned
    ports = itertools.count(settings.metrics.port or FIRST_PORT)
    return [msgspec.structs.replace(service, metrics_port=next(ports)) for service in planned]


_LOG = frozenset({"kafka"})
_STORES = _LOG | {"incidents", "inventory"}
_TOLD = frozenset({"webhook", "receiver"})
_MACHINE = Service(
    "linli",
    "everything: ingest, rules, incidents, console, and a broker unless one answers",
    ("run",),
    _STORES | _TOLD | {"mqtt", "results", "console", "archive", "erasure"},
    frozenset({"log", "incidents", "inventory", "results", "evidence", "dead_letters", "archive"}),
)


def _district(counts: ProcessCounts) -> list[Service]:
    shards = [
        Service(
            f"linli-ingest-{n}",
            f"devices' messages into the log: partitions {n}, {n + counts.shards}, … of it",
            ("ingest", "run", "--shard", f"{n}/{counts.shards}"),
            _STORES | {"mqtt"},
            frozenset({"dead_letters", "inventory"}),
        )
        for n in range(counts.shards)
    ]
    workers = [
        Service(
            f"linli-streams-{n}",
            "the rules: log to findings and snapshots; its share of the partitions",
            _STREAMS,
            _LOG | {"erasure"},
        )
        for n in range(counts.workers)
    ]
    incidents = [
        Service(
            f"linli-incidents-{n}",
            "findings to incidents, deliveries, the stuck-work monitor",
            ("incidents", "run"),
            _STORES | _TOLD | {"erasure"},
            _FILES,
        )
        for n in range(counts.incidents)
    ]
    return [*shards, *workers, *incidents, *_SINGLE]


_STREAMS = ("streams", "run")
_FILES = frozenset({"incidents", "inventory"})
_SINGLE = (
    Service(
        "linli-console",
        "page and API, evidence uploads of boxes",
        ("console", "run"),
        _STORES | {"console"},
        _FILES | {"evidence"},
    ),
    Service(
        "linli-results",
        "findings, incidents and measurements to the results database",
        ("results", "run"),
        _STORES | {"results"},
        _FILES | {"results"},
    ),
    Service(
        "linli-archive",
        "the log's days as encrypted segments, retention, erasure",
        ("archive", "run"),
        _STORES | {"archive", "erasure"},
        _FILES | {"archive", "evidence"},
    ),
)
