"""Results wired: sources of every room, the spool on disk, and the store that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from app.settings.secret_files import read_in_turn
from app.settings.settings import Settings
from app.settings.stores import sqlite_path
from app.wiring.threads import Threads
from contracts.durations import HOUR_MS
from contracts.errors import Transient
from contracts.extras import not_installed
from contracts.findings import FindingsReader
from contracts.secrets import Secret
from incidents.measurements import attempts_after, change_batch_after, identity_of
from incidents.store.operator_alarms import AlarmCode, clear_alarm, raise_alarm
from incidents.store.store import Store
from streams.log.port import LogReader
from streams.results.collector import READ_RECORDS, FindingsSource, LogSource, PointCollector, PointSource
from streams.results.influx_url import parse_influx
from streams.results.log_measures import InventoryLookup
from streams.results.points import delivered_point, delivery_point, incident_point, loss_point, taken_point
from streams.results.query import ResultsStore
from streams.results.sender import OnAlarm, ResultsAlarm, ResultsSender
from streams.results.spool import PointSpool, SourceBatch
from streams.results.sqlite import SqliteResults
from streams.results.target import PointStore
from system.clock import Clock, wall_ms
from system.tls import TlsFiles

LOG = structlog.get_logger("linli.results")
READ_ROWS = 500
DELIVERED = "delivered"
_CODES = {
    ResultsAlarm.MISCONFIGURED: AlarmCode.RESULTS_REFUSED,
    ResultsAlarm.AWAY: AlarmCode.RESULTS_AWAY,
    ResultsAlarm.REJECTED: AlarmCode.RESULTS_REJECTED,
    ResultsAlarm.DROPPED: AlarmCode.RESULTS_DROPPED,
}


class IncidentsSource:
    """Changes of incidents, and the findings that they took in, as points."""

    name = "incidents"

    def __init__(self, store: Store) -> None:
        self._store = store

    def step(self, spool: PointSpool) -> SourceBatch | None:
        """See :class:`streams.results.collector.PointSource`."""
        with self._store.read() as connection:
            identity = identity_of(connection)
            before = spool.cursor(self.name, identity)
            told = change_batch_after(connection, before, READ_ROWS)
        if told.cursor == before:
            return None
        points = [*map(incident_point, told.changes), *map(taken_point, told.taken)]
        if told.missed:
            LOG.error("results_gap", changes=told.missed)
            at_ms = told.changes[0].at_ms if told.changes else wall_ms()
            points.append(loss_point("incident_changes", told.missed, at_ms, f"{identity}/{before}"))
        return SourceBatch(self.name, identity, told.cursor, points, more=len(told.changes) == READ_ROWS)


class AttemptsSource:
    """Attempts to tell receivers, as points."""

    name = "attempts"

    def __init__(self, store: Store, clock_ms: Clock = wall_ms) -> None:
        self._store = store
        self._clock_ms = clock_ms

    def step(self, spool: PointSpool) -> SourceBatch | None:
        """See :class:`streams.results.collector.PointSource`."""
        with self._store.read() as connection:
            identity = identity_of(connection)
            after_ms = spool.cursor(self.name, identity) or 0
            upto_ms, found = attempts_after(connection, after_ms, self._clock_ms(), READ_ROWS)
        if not found:
            return None
        delivered = [delivered_point(attempt) for attempt in found if attempt.outcome == DELIVERED]
        points = [*map(delivery_point, found), *delivered]
        return SourceBatch(self.name, identity, upto_ms, points, more=len(found) >= READ_ROWS)


class ResultsService:
    """The threads that carry results: one reads into the spool, one writes out of it.

    Args:
        logs: each partition of the log.
        findings: each partition's findings, and the number before the first that is still held.
        rest: see :class:`streams.results.collector.PointCollector`.
        read_records: records a step; few where a reader lends the log's lock.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        logs: Sequence[LogReader],
        findings: Sequence[tuple[FindingsReader, Callable[[], int]]],
        incidents: Store,
        book: InventoryLookup,
        rest: float = 0.0,
        read_records: int = READ_RECORDS,
        clock_ms: Clock = wall_ms,
    ) -> None:
        self._settings = settings
        self._clock_ms = clock_ms
        self._on_alarm = operator_alarm(incidents, clock_ms)
        quota_bytes = settings.results.spool_mb << 20
        self._target = open_results(settings)
        self._spool = PointSpool(settings.results.spool, quota_bytes)
        since_ms = clock_ms() - settings.results.backlog_hours * HOUR_MS
        told = self._on_alarm
        sources: list[PointSource] = [
            LogSource(reader, book, clock_ms, told, partition=n, since_ms=since_ms, limit=read_records)
            for n, reader in enumerate(logs)
        ]
        sources += [
            FindingsSource(reader, clock_ms, told, partition=n, begin=begin)
            for n, (reader, begin) in enumerate(findings)
        ]
        sources += [IncidentsSource(incidents), AttemptsSource(incidents, clock_ms)]
        self._collector = PointCollector(self._spool, sources, clock_ms, self._on_alarm, rest=rest)
        self._sender = ResultsSender(self._spool, self._target, clock_ms, self._on_alarm)

    def start(self, threads: Threads) -> None:
        """Start the threads."""
        threads.start("results", self._collector.run)
        threads.start("results-out", self._sender.run)
        target = self._target
        if isinstance(target, SqliteResults):
            days = self._settings.results.retention_days
            threads.start("results-days", lambda stop: target.run(stop, days, self._clock_ms))

    def cursor(self, source: str, identity: str) -> int:
        """Return how far a source has been read; what lies beyond is still needed."""
        return self._spool.cursor(source, identity) or 0

    def figures(self) -> dict[str, float]:
        """Return what waits, since when, and what was lost; for the metrics of the process."""
        depth = self._spool.depth()
        return {
            "results_waiting": depth.points,
            "results_waiting_bytes": depth.bytes,
            "results_oldest_seconds": (self._clock_ms() - depth.oldest_ms) / 1000 if depth.oldest_ms else 0.0,
            "results_rejected": depth.rejected,
            "results_dropped": depth.dropped,
        }

    def close(self) -> None:
        """Close spool and store, once the threads have ended."""
        self._spool.close()
        self._target.close()


class ResultsEnds(PointStore, ResultsStore, Protocol):
    """A store of results: write, select, close."""

    def close(self) -> None:
        """Let go of it."""
        ...


def open_results(settings: Settings) -> ResultsEnds:
    """Return the store that ``results.url`` names. Nothing is connected yet.

    Raises:
        ConfigurationError: the URL or a file of credentials cannot be used.
    """
    if settings.results.url.startswith("sqlite:"):
        return SqliteResults(sqlite_path("results.url", settings.results.url))
    address = parse_influx(settings.results.url)
    try:
        from streams.results.exchanged import ExchangedInflux
        from streams.results.influx import Influx, InfluxCredentials
    except ImportError as error:
        raise not_installed(error) from None
    files = TlsFiles(table="results", ca_file=settings.results.ca_file)

    def credentials_now() -> list[InfluxCredentials]:
        tokens = _in_turn(settings.results.token_file, "results.token_file")
        given = [
            one.reveal().partition(":") for one in _in_turn(settings.results.password_file, "results.password_file")
        ]
        return [InfluxCredentials(token, user, Secret(own)) for token in tokens for user, _, own in given]

    return ExchangedInflux(lambda credentials: Influx(address, credentials, files), credentials_now)


def _in_turn(path: Path | None, key: str) -> list[Secret]:
    return [Secret("")] if path is None else read_in_turn(path, key)


def operator_alarm(store: Store, clock_ms: Callable[[], int]) -> OnAlarm:
    """Return alarms of the results, on the page of those who run the system."""

    def tell(alarm: ResultsAlarm, detail: str) -> None:
        try:
            with store.write() as connection:
                if detail:
                    raise_alarm(connection, _CODES[alarm], "results", detail, clock_ms())
                else:
                    clear_alarm(connection, _CODES[alarm], "results", clock_ms())
        except Transient as error:  # results go on without the page; the log has said it
            LOG.error("alarm_not_shown", alarm=alarm.value, detail=detail, why=str(error))

    return tell
