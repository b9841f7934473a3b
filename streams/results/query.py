"""Reading results: one small language that every store answers alike, and the questions asked in it. Pure.

A :class:`Query` is what SQLite and InfluxQL both can say; :class:`Results` puts the product's questions into it, so
that a store has one method to get right. Pure.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from contracts.durations import HOUR_MS
from contracts.hops import HOP_BOUNDS_MS
from streams.results.catalogue import within
from streams.results.histogram import percentile_ms


class TimeRange(msgspec.Struct, frozen=True):
    """From ``from_ms`` on and before ``to_ms``, epoch ms."""

    from_ms: int
    to_ms: int


class Aggregation(enum.StrEnum):
    """An aggregation of a field's values. A percentile is the nearest rank's value, as InfluxQL has it."""

    SUM = "sum"
    MAX = "max"
    MEAN = "mean"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"


PERCENT = {Aggregation.P50: 50, Aggregation.P95: 95, Aggregation.P99: 99}


class Column(msgspec.Struct, frozen=True):
    """A fold of a field."""

    aggregation: Aggregation
    field: str

    @property
    def name(self) -> str:
        """``sum_n``, and so on: the column's name in a row."""
        return f"{self.aggregation.value}_{self.field}"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of one measurement over a span, one row a value of ``by`` and (``every_ms`` > 0) interval of time."""

    measurement: str
    columns: tuple[Column, ...]
    span: TimeRange
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    every_ms: int = 0


class ResultRow(msgspec.Struct, frozen=True):
    """One row. ``at_ms``: the interval's beginning (multiples of it since 1970), 0 without intervals."""

    tags: dict[str, str]
    at_ms: int
    values: dict[str, float]


class ResultsStore(Protocol):
    """Answers queries."""

    def select(self, query: Query) -> list[ResultRow]:
        """Return the rows, by tags in the order of ``by``, then by time; without a point there is no row.

        Raises:
            Transient: the store is away.
        """
        ...


class Count(msgspec.Struct, frozen=True):
    """How many of a rule in an hour."""

    hour_ms: int
    rule: str
    count: int


class Latency(msgspec.Struct, frozen=True):
    """Of a receiver or hop: how many, and within what time."""

    of: str
    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class DeviceFigures(msgspec.Struct, frozen=True):
    """The devices of a class at one time: the highest figures of the interval, and the events in it."""

    at_ms: int
    device_class: str
    known: int
    heard: int
    offline: int
    unhealthy: int
    events: int


class PowerFigures(msgspec.Struct, frozen=True):
    """A kind of circuit over an interval."""

    at_ms: int
    building: str
    circuit: str
    mean_w: float
    energy_kwh: float


class Results:
    """The questions that pages and reports ask."""

    def __init__(self, store: ResultsStore) -> None:
        self._store = store

    def findings_per_hour(self, span: TimeRange, site_id: str | None = None) -> list[Count]:
        """Return findings that opened an episode, per rule and hour."""
        return self._per_hour("findings", span, site_id, ("phase", "open"))

    def incidents_per_hour(self, span: TimeRange, site_id: str | None = None) -> list[Count]:
        """Return incidents opened, per rule and hour."""
        return self._per_hour("incidents", span, site_id, ("change", "opened"))

    def delivery_latency(self, span: TimeRange, site_id: str | None = None) -> list[Latency]:
        """Return per receiver: from a delivery's row to its receipt."""
        columns = (_column("sum", "n"), *(_column(fold, "age_ms") for fold in ("p50", "p99", "max")))
        where = _where(site_id, ("outcome", "delivered"))
        query = Query(measurement="deliveries", columns=columns, span=span, by=("receiver",), where=where)
        names = [column.name for column in columns[1:]]
        return [
            Latency(row.tags["receiver"], int(row.values["sum_n"]), *(row.values[name] for name in names))
            for row in self._store.select(query)
        ]

    def hop_latency(self, span: TimeRange, site_id: str | None = None) -> list[Latency]:
        """Return per hop: its latencies, percentiles read off their classes."""
        fields = ("n", *(within(bound) for bound in HOP_BOUNDS_MS))
        columns = (*(_column("sum", field) for field in fields), _column("max", "max_ms"))
        query = Query(measurement="hops", columns=columns, span=span, by=("hop",), where=_where(site_id))
        return [_latency(row) for row in self._store.select(query)]

    def device_health(self, span: TimeRange, site_id: str, every_ms: int = 300_000) -> list[DeviceFigures]:
        """Return per class and interval."""
        columns = tuple(_column("max", name) for name in ("known", "heard", "offline", "unhealthy"))
        columns += (_column("sum", "events"),)
        query = Query(
            measurement="devices", columns=columns, span=span, by=("class",), where=_where(site_id), every_ms=every_ms
        )
        return [
            DeviceFigures(row.at_ms, row.tags["class"], *(int(row.values[column.name]) for column in columns))
            for row in self._store.select(query)
        ]

    def power(self, span: TimeRange, site_id: str, every_ms: int = 900_000) -> list[PowerFigures]:
        """Return per building, kind of circuit and interval (a multiple of a quarter hour)."""
        columns = (_column("mean", "mean_w"), _column("sum", "energy_kwh"))
        by = ("building", "circuit")
        query = Query(measurement="power", columns=columns, span=span, by=by, where=_where(site_id), every_ms=every_ms)
        return [
            PowerFigures(row.at_ms, row.tags["building"], row.tags["circuit"], *(row.values[c.name] for c in columns))
            for row in self._store.select(query)
        ]

    def _per_hour(self, measurement: str, span: TimeRange, site_id: str | None, only: tuple[str, str]) -> list[Count]:
        query = Query(
            measurement=measurement,
            columns=(_column("sum", "n"),),
            span=span,
            by=("rule",),
            where=_where(site_id, only),
            every_ms=HOUR_MS,
        )
        rows = self._store.select(query)
        return [Count(row.at_ms, row.tags["rule"], int(row.values["sum_n"])) for row in rows]


def nearest_rank(values: Sequence[float], percent: int) -> float:
    """Return the percentile as InfluxQL takes it: the value at rank floor(n · percent / 100 + 0.5), at least the first.

    >>> nearest_rank([30, 10, 20, 40], 50)
    20
    """
    rank = max(1, min(len(values), math.floor(len(values) * percent / 100 + 0.5)))
    return sorted(values)[rank - 1]


def _column(fold: str, field: str) -> Column:
    return Column(Aggregation(fold), field)


def _where(site_id: str | None, *only: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("site", site_id), *only) if site_id is not None else only


def _latency(row: ResultRow) -> Latency:
    fields: Mapping[str, float] = {name.partition("_")[2]: value for name, value in row.values.items()}
    p50, p99 = (percentile_ms(fields, share) for share in (0.5, 0.99))
    return Latency(row.tags["hop"], int(fields["n"]), p50, p99, fields["max_ms"])
