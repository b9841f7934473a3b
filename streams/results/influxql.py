"""Queries as InfluxQL, and its answers as rows: the one language that InfluxDB 1.x, 2.x and 3 Core all serve. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from streams.results.query import PERCENT, Aggregation, Column, Query, ResultRow


class Series(msgspec.Struct, frozen=True):
    """One series of an answer; the first column of ``values`` is the time in ms."""

    columns: list[str]
    values: list[list[Any]]
    tags: dict[str, str] = {}


class Result(msgspec.Struct, frozen=True):
    """One statement's answer."""

    series: list[Series] = []
    error: str = ""


class QueryResponse(msgspec.Struct, frozen=True):
    """The JSON of ``/query``."""

    results: list[Result] = []
    error: str = ""


def text_of(query: Query) -> str:
    """Return the query as a statement; times in ms, so that it is asked with ``epoch=ms``."""
    columns = ", ".join(_column(column) for column in query.columns)
    conditions = [f"time >= {query.span.from_ms}ms", f"time < {query.span.to_ms}ms"]
    conditions += [f"{_name(tag)} = {_text(wanted)}" for tag, wanted in query.where]
    groups = [_name(tag) for tag in query.by] + ([f"time({query.every_ms}ms)"] if query.every_ms else [])
    group = f" GROUP BY {', '.join(groups)}" if groups else ""
    fill = " fill(none)" if query.every_ms else ""
    return f"SELECT {columns} FROM {_name(query.measurement)} WHERE {' AND '.join(conditions)}{group}{fill}"


def rows_of(query: Query, answer: QueryResponse) -> list[ResultRow]:
    """Return the rows of an answer, by tags and then by time."""
    rows = [row for result in answer.results for series in result.series for row in _rows(query, series)]
    return sorted(rows, key=lambda row: ([row.tags[tag] for tag in query.by], row.at_ms))


def _rows(query: Query, series: Series) -> Iterable[ResultRow]:
    names = [column.name for column in query.columns]
    tags = {tag: series.tags.get(tag, "") for tag in query.by}
    for at_ms, *values in series.values:
        if any(value is not None for value in values):
            found = {name: value or 0 for name, value in zip(names, values, strict=True)}
            yield ResultRow(tags, int(at_ms) if query.every_ms else 0, found)


def _column(column: Column) -> str:
    match column.aggregation:
        case Aggregation.SUM | Aggregation.MAX | Aggregation.MEAN:
            call = f"{column.aggregation.value}({_name(column.field)})"
        case Aggregation.P50 | Aggregation.P95 | Aggregation.P99:
            call = f"percentile({_name(column.field)}, {PERCENT[column.aggregation]})"
    return f"{call} AS {_name(column.name)}"


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
