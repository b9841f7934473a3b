"""The stores that a trace looks into, as the settings name them; opened for reading, beside whoever writes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from app.operations.tracing import Tracer
from app.settings.settings import Settings
from app.settings.stores import sqlite_path
from app.wiring.district import is_district, log_partitions, open_cluster, topic_names
from app.wiring.stores import open_incidents
from contracts.errors import ConfigurationError
from contracts.names import partition_of
from streams.checkpoints.findings_lookup import KafkaLookup
from streams.checkpoints.sqlite_lookup import EngineLookup
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.log.port import LogReader
from streams.log.sqlite.day_log import DayLog


def open_tracer(settings: Settings, opened: ExitStack) -> Tracer:
    """Return a tracer over the stores in force; ``opened`` closes them.

    Raises:
        ConfigurationError: one of them is not there.
    """
    if is_district(settings):
        return _district(settings, opened)
    folder = settings.log.folder()
    log = DayLog(_there(folder, "log.url"), readonly=True)
    opened.callback(log.close)
    lookup = EngineLookup(_there(folder / "engine.db", "log.url"))
    opened.callback(lookup.close)
    _there(sqlite_path("incidents.url", settings.incidents.url), "incidents.url")
    store = open_incidents(settings)
    opened.callback(store.close)
    return Tracer(store, lookup, lambda _site: [log])


def _district(settings: Settings, opened: ExitStack) -> Tracer:
    store = open_incidents(settings)
    opened.callback(store.close)
    cluster, names = opened.enter_context(open_cluster(settings, "linli-trace")), topic_names(settings)
    partitions, tails = log_partitions(cluster, settings), cluster.tails()
    opened.callback(tails.close)

    def log_of(site: str | None) -> list[LogReader]:
        numbers = range(partitions) if site is None else [partition_of(site, partitions)]
        return [KafkaLogReader(cluster, names.log, number, tails) for number in numbers]

    lookup = KafkaLookup(partitions, lambda partition: tails(names.findings, partition))
    return Tracer(store, lookup, log_of)


def _there(path: Path, key: str) -> Path:
    if not path.exists():
        raise ConfigurationError(f"{path} is not there; {key} names what `linli run` writes")
    return path
