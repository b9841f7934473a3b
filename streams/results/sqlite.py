"""``results.db``: the embedded store of results. Points as InfluxDB keeps them, and the same answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from contracts.durations import DAY_MS
from contracts.errors import Transient
from streams.results.points import NS_PER_MS, Point
from streams.results.query import PERCENT, Aggregation, Column, Query, ResultRow, nearest_rank
from streams.sqlite_file import connect, transaction, undamaged

SCHEMA = """
CREATE TABLE IF NOT EXISTS points (
  measurement TEXT NOT NULL, at_ns INTEGER NOT NULL, tags TEXT NOT NULL, fields TEXT NOT NULL,
  PRIMARY KEY (measurement, at_ns, tags)) WITHOUT ROWID;
"""
_PUT = """
INSERT INTO points VALUES (?, ?, ?, ?) ON CONFLICT (measurement, at_ns, tags)
DO UPDATE SET fields = json_patch(fields, excluded.fields)
"""  # as InfluxDB does: a field written again is replaced, the others stay
_PRUNE_ROWS = 5_000  # a large deletion would hold the file's lock for seconds
PRUNE_EVERY_S = 3_600.0


class SqliteResults:
    """A :class:`streams.results.target.PointStore` and :class:`streams.results.query.ResultsStore`. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, SCHEMA)
        self._lock = threading.Lock()

    def write(self, points: Sequence[Point]) -> None:
        """See :class:`streams.results.target.PointStore`."""
        rows = [(p.measurement, p.at_ns, json.dumps(dict(p.tags)), json.dumps(p.fields)) for p in points]
        with self._lock, transaction(self._db) as db:
            db.executemany(_PUT, rows)

    def select(self, query: Query) -> list[ResultRow]:
        """See :class:`streams.results.query.ResultsStore`."""
        sql, values = _sql(query)
        with self._lock, undamaged(self._db):
            found = self._db.execute(sql, values).fetchall()
        keys = len(query.by) + 1
        rows = []
        for key, group in groupby(found, key=lambda row: row[:keys]):
            at_ms = key[-1] if query.every_ms else 0
            columns = zip(*(row[keys:] for row in group), strict=True)
            folded = {c.name: _fold(c, values) for c, values in zip(query.columns, columns, strict=True)}
            rows.append(ResultRow(dict(zip(query.by, key[:-1], strict=True)), at_ms, folded))
        return rows

    def prune(self, before_ms: int) -> int:
        """Delete what is older, a part at a time; how many points."""
        total = 0
        measurements = self._read("SELECT DISTINCT measurement FROM points")
        for measurement in measurements:
            while True:
                found = self._prune_some(measurement, before_ms * NS_PER_MS)
                total += found
                if found < _PRUNE_ROWS:
                    break
        return total

    def run(self, stop: threading.Event, retention_days: int, clock_ms: Callable[[], int]) -> None:
        """Prune every hour until ``stop``."""
        wait_s = 0.0
        while not stop.wait(wait_s):
            wait_s = PRUNE_EVERY_S
            try:
                self.prune(clock_ms() - retention_days * DAY_MS)
            except Transient:
                wait_s = 60.0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _prune_some(self, measurement: str, before_ns: int) -> int:
        with self._lock, transaction(self._db) as db:
            query = "SELECT at_ns FROM points WHERE measurement = ? AND at_ns < ? ORDER BY at_ns LIMIT ?"
            times = db.execute(query, (measurement, before_ns, _PRUNE_ROWS)).fetchall()
            if not times:
                return 0
            delete = "DELETE FROM points WHERE measurement = ? AND at_ns <= ?"
            return db.execute(delete, (measurement, times[-1][0])).rowcount

    def _read(self, sql: str) -> list[str]:
        with self._lock, undamaged(self._db):
            return [str(value) for (value,) in self._db.execute(sql)]


def _sql(query: Query) -> tuple[str, list[object]]:
    """Return each point's tags, interval and fields, in the order in which they are grouped."""
    values: list[object] = [f"$.{tag}" for tag in query.by]
    parts = [*(["coalesce(json_extract(tags, ?), '')"] * len(query.by))]
    every_ns = query.every_ms * NS_PER_MS
    parts.append(f"at_ns / {every_ns} * {query.every_ms}" if every_ns else "0")
    parts += ["json_extract(fields, ?)"] * len(query.columns)
    values += [f"$.{column.field}" for column in query.columns]
    values += [query.measurement, query.span.from_ms * NS_PER_MS, query.span.to_ms * NS_PER_MS]
    conditions = ["measurement = ?", "at_ns >= ?", "at_ns < ?"]
    for tag, wanted in query.where:
        conditions.append("json_extract(tags, ?) = ?")
        values += [f"$.{tag}", wanted]
    order = ", ".join(str(n + 1) for n in range(len(query.by) + 1))
    return f"SELECT {', '.join(parts)} FROM points WHERE {' AND '.join(conditions)} ORDER BY {order}, at_ns", values


def _fold(column: Column, found: Sequence[float | None]) -> float:
    """Return one column of a group; 0 where no point has the field."""
    values = [value for value in found if value is not None]
    if not values:
        return 0
    match column.aggregation:
        case Aggregation.SUM:
            return sum(values)
        case Aggregation.MAX:
            return max(values)
        case Aggregation.MEAN:
            return sum(values) / len(values)
        case Aggregation.P50 | Aggregation.P95 | Aggregation.P99:
            return nearest_rank(values, PERCENT[column.aggregation])
