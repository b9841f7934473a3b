"""One suite over every store of results: what is written once or ten times is answered alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from contracts.durations import HOUR_MS
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.points import Point, point
from streams.results.query import Aggregation, Column, Query, ResultRow, Results, ResultsStore, TimeRange
from streams.results.sender import newest_of
from streams.results.spool import PointSpool, SourceBatch
from streams.results.sqlite import SqliteResults
from streams.results.target import PointStore
from tests.streams.results.factories import DAY, T, a_day
from tests.support.folders import fast_folder
from tests.support.influx import Server, influxd


class Store(PointStore, ResultsStore, Protocol):
    """What is tested."""


@contextmanager
def sqlite_store() -> Iterator[Store]:
    with fast_folder() as folder:
        store = SqliteResults(folder / "results.db")
        try:
            yield store
        finally:
            store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with influxd(tmp_path_factory.mktemp("influx")) as server:
        yield server


@contextmanager
def influx_store(server: Server, database: str) -> Iterator[Store]:
    store = Influx(parse_influx(f"influx://127.0.0.1:{server.port}/{database}?version=1"), InfluxCredentials())
    try:
        yield store
    finally:
        store.close()


@pytest.fixture(params=["sqlite", pytest.param("influx", marks=[pytest.mark.service, pytest.mark.patient])])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        with sqlite_store() as made:
            yield made
    else:
        with influx_store(request.getfixturevalue("server"), request.node.name.replace("[", "_")) as made:
            yield made


@pytest.fixture(scope="module")
def spooled() -> list[Point]:
    """A day as it leaves the spool: every point with a time of its own."""
    return through_spool(a_day())


def through_spool(points: list[Point]) -> list[Point]:
    with fast_folder() as folder:
        spool = PointSpool(Path(folder) / "spool.db")
        spool.append([SourceBatch("test", "one", 1, points)], T)
        found = [p for chunk in spool.oldest(100_000) for p in chunk.points]
        spool.close()
    return newest_of(found)


def test_what_is_written_is_counted(store: Store, spooled: list[Point]) -> None:
    store.write(spooled)
    results = Results(store)
    findings = results.findings_per_hour(DAY)
    assert sum(count.count for count in findings) == 60
    assert {count.rule for count in findings} == {"indoor_ebike", "smoke_or_heat"}
    assert [c.count for c in results.findings_per_hour(DAY, "s1") if c.rule == "smoke_or_heat"] == [5, 5]
    assert sum(count.count for count in results.incidents_per_hour(DAY)) == 60
    (webhook,) = results.delivery_latency(DAY)
    assert (webhook.of, webhook.count, webhook.max_ms) == ("webhook", 48, 20 + 58 * 7)


def test_writing_again_in_any_order_changes_nothing(store: Store, spooled: list[Point]) -> None:
    store.write(spooled)
    before = answers(store)
    for seed in range(2):
        again = list(spooled)
        random.Random(seed).shuffle(again)
        store.write(again)
    assert answers(store) == before


def test_a_later_value_replaces_an_earlier_one_and_leaves_other_fields(store: Store) -> None:
    tags = {"site": "s1", "building": "b1", "circuit": "common"}
    store.write([point("power", tags, {"mean_w": 10.0, "energy_kwh": 1.0}, T)])
    store.write([point("power", tags, {"mean_w": 30.0}, T)])
    (figures,) = Results(store).power(DAY, "s1")
    assert (figures.mean_w, figures.energy_kwh, figures.at_ms) == (30.0, 1.0, T)


def test_nothing_written_gives_no_rows(store: Store) -> None:
    results = Results(store)
    assert results.findings_per_hour(DAY) == []
    assert results.hop_latency(DAY) == []
    assert results.power(DAY, "s1") == []


def test_a_span_takes_its_beginning_and_not_its_end(store: Store) -> None:
    store.write([point("losses", {"cause": "log"}, {"n": 1}, T), point("losses", {"cause": "log"}, {"n": 2}, T + 1000)])
    query = Query(measurement="losses", columns=(Column(Aggregation.SUM, "n"),), span=TimeRange(T, T + 1000))
    assert store.select(query) == [ResultRow({}, 0, {"sum_n": 1})]


def test_a_tag_with_quotes_and_spaces_is_found_again(store: Store) -> None:
    odd = 'it\'s, "1=2" here'
    store.write([point("losses", {"cause": odd}, {"n": 7}, T)])
    query = Query(
        measurement="losses", columns=(Column(Aggregation.SUM, "n"),), span=DAY, by=("cause",), where=(("cause", odd),)
    )
    assert store.select(query) == [ResultRow({"cause": odd}, 0, {"sum_n": 7})]


@pytest.mark.service
@pytest.mark.patient
def test_sqlite_and_influxdb_answer_every_question_alike(server: Server, spooled: list[Point]) -> None:
    with sqlite_store() as one, influx_store(server, "alike") as other:
        one.write(spooled)
        other.write(spooled)
        assert answers(one) == answers(other)


def test_old_results_are_pruned_and_new_ones_stay(spooled: list[Point]) -> None:
    with fast_folder() as folder:
        store = SqliteResults(folder / "results.db")
        store.write(spooled)
        deleted = store.prune(T + HOUR_MS)
        left = sum(count.count for count in Results(store).findings_per_hour(DAY))
        store.close()
    assert left == 30
    assert 0 < deleted < len(spooled)


def answers(store: Store) -> list[object]:
    """Every question's answer."""
    results = Results(store)
    found: list[object] = []
    for site in (None, "s1", "s2"):
        found += [results.findings_per_hour(DAY, site), results.incidents_per_hour(DAY, site)]
        found += [results.delivery_latency(DAY, site), results.hop_latency(DAY, site)]
    found += [results.device_health(DAY, "s1"), results.device_health(DAY, "s1", HOUR_MS)]
    found += [results.power(DAY, "s2"), results.power(DAY, "s2", HOUR_MS)]
    return found
