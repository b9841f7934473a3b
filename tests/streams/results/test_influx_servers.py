"""Real servers: killed together with the process that feeds them, asked for passwords, and spoken to as InfluxDB 2."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import streams
from contracts.errors import Transient
from contracts.secrets import Secret
from ingest.session.broker import free_port
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from streams.results.catalogue import CATALOGUE
from streams.results.collector import FindingsSource, LogSource, PointCollector, PointSource
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.points import Point, point
from streams.results.sender import ResultsSender
from streams.results.spool import PointSpool
from streams.results.target import StoreMisconfigured
from tests.incidents.builders import make_finding
from tests.streams.results.factories import Keeping, Kept, T, batch, meter_book, sample
from tests.support.influx import Server, influxd, victoria_metrics

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.patient]
ROOT = Path(streams.__file__).parents[1]


def test_killed_while_the_server_dies_too_the_points_are_those_of_a_clean_run(tmp_path: Path) -> None:
    _live(tmp_path)
    clean = _clean(tmp_path)
    dice = random.Random(5)
    with influxd(tmp_path) as server:
        url = f"influx://127.0.0.1:{server.port}/linli?version=1"
        for life in range(2):
            if life == 1:
                server.kill()
            with _child(tmp_path, url) as said:
                for _ in range(dice.randint(5, 15)):
                    next(said)
        server.start()
        with _child(tmp_path, url) as said:
            for line in said:
                if line == "done":
                    break
        assert _kept(server, "linli") == clean


def test_a_server_with_passwords_takes_ours_and_no_other(tmp_path: Path) -> None:
    with influxd(tmp_path, auth=True) as server:
        _ask(server, "CREATE USER admin WITH PASSWORD 'right one' WITH ALL PRIVILEGES")
        right = InfluxCredentials(user="admin", password=Secret("right one"))
        for credentials, taken in ((InfluxCredentials(), False), (right, True)):
            store = Influx(parse_influx(f"influx://127.0.0.1:{server.port}/linli?version=1"), credentials)
            if taken:
                store.write(_some())
                assert store.ask('SELECT count("n") FROM "losses"').results[0].series[0].values[0][1] == 3
            else:
                with pytest.raises(StoreMisconfigured, match="401"):
                    store.write(_some())
                with pytest.raises(Transient):
                    store.ask("SHOW DATABASES")
            store.close()


def test_what_influxdb_2_is_written_arrives_whole(tmp_path: Path) -> None:
    with victoria_metrics(tmp_path) as server:
        url = f"influx://127.0.0.1:{server.port}/linli?version=2&org=linli"
        store = Influx(parse_influx(url), InfluxCredentials(token=Secret("any")))
        for _ in range(2):
            store.write(_some())
        store.close()
        match = urllib.parse.urlencode({"match[]": "losses_n", "start": (T - 1000) / 1000, "end": (T + 10_000) / 1000})
        base = f"http://127.0.0.1:{server.port}"
        urllib.request.urlopen(f"{base}/internal/force_flush", timeout=30).close()
        with urllib.request.urlopen(f"{base}/api/v1/export?{match}&reduce_mem_usage=0", timeout=30) as answer:
            lines = [json.loads(line) for line in answer.read().decode().splitlines()]
    (series,) = lines
    assert series["metric"] == {"__name__": "losses_n", "cause": "log"}
    assert dict(zip(series["timestamps"], series["values"], strict=True)) == {T: 0, T + 1: 1, T + 2: 2}


def test_a_server_that_was_never_there_is_named() -> None:
    port = free_port()
    store = Influx(parse_influx(f"influx://127.0.0.1:{port}/linli?version=1"), InfluxCredentials())
    with pytest.raises(Transient, match=f"127.0.0.1:{port} does not answer"):
        store.write(_some())
    store.close()


def _some() -> list[Point]:
    return [point("losses", {"cause": "log"}, {"n": n}, T + n) for n in range(3)]


def _live(folder: Path) -> None:
    """A folder with a log of two hours and 3,000 findings, some in one millisecond."""
    log = DayLog(folder / "log")
    log.append([batch(n * 2.0, *(sample(n * 2.0, n % 700, f"d{m}") for m in range(6))) for n in range(3_600)])
    log.append([batch(7_200.0)])
    log.close()
    store = SqliteCheckpointStore(folder / "engine.db")
    store.append_findings([make_finding(key=f"door-{n}", onset_ms=T + n // 4) for n in range(3_000)])
    store.close()


def _clean(folder: Path) -> Kept:
    """Return what an undisturbed run writes."""
    log, findings = DayLog(folder / "log"), SqliteCheckpointStore(folder / "engine.db")
    spool, target = PointSpool(folder / "clean.db"), Keeping()
    sources: list[PointSource] = [
        LogSource(log, meter_book(6), lambda: T, _nobody),
        FindingsSource(findings, lambda: T, _nobody),
    ]
    collector = PointCollector(spool, sources, lambda: T, _nobody)
    while collector.step():
        pass
    sender = ResultsSender(spool, target, lambda: T, _nobody)
    while sender.step():
        pass
    for opened in (log, findings, spool):
        opened.close()
    return target.points


def _nobody(*_told: object) -> None:
    pass


@contextmanager
def _child(folder: Path, url: str) -> Iterator[Iterator[str]]:
    """The feeding process and the lines that it says; killed at the end."""
    command = [sys.executable, "-m", "tests.streams.results.collector_child", str(folder), url]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield (line.strip() for line in process.stdout)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _kept(server: Server, database: str) -> Kept:
    """Every point in the server, by measurement, tags and time in ns."""
    found: Kept = {}
    for measurement in CATALOGUE:
        result = _ask(server, f'SELECT * FROM "{measurement}" GROUP BY *', database)["results"][0]
        for series in result.get("series", []):
            tags = tuple(sorted((k, v) for k, v in series.get("tags", {}).items() if v))
            for at_ns, *values in series["values"]:
                fields = dict(zip(series["columns"][1:], values, strict=True))
                found[measurement, tags, at_ns] = {k: v for k, v in fields.items() if v is not None}
    return found


def _ask(server: Server, statement: str, database: str = "") -> dict[str, list[dict[str, list[dict[str, Any]]]]]:
    body = urllib.parse.urlencode({"q": statement, "db": database, "epoch": "ns"}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/query", body, timeout=30) as answer:
        found: dict[str, list[dict[str, list[dict[str, Any]]]]] = json.loads(answer.read())
    return found
