"""Nothing is judged: one alarm within half a minute, in health and for everybody who is logged in, and over again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from incidents.store.operator_alarms import AlarmCode, standing_alarms
from inventory.file_import import parse_inventory
from tests.support.community import running_community
from tests.support.district_run import logged_in
from tests.support.linli_run import running, settings_over
from tests.support.waiting import until
from tests.support.whole_district import District, Plan, running_district

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(600)]

TOLD_S = 30.0
OVER_S = 90.0
CODE = AlarmCode.NOTHING_JUDGED.value
LINES_A_MINUTE = 60
RECORDS = parse_inventory(
    """
site_id = "s1"
[[site]]
name = "Willow Court"
[[place]]
place_id = "hall"
kind = "zone"
use = "lobby"
[[device]]
device_id = "smoke-1"
device_class = "sensor"
place_id = "hall"
""",
    toml=True,
    now_ms=1_790_000_000_000,
)


def unjudged(console: httpx.Client) -> list[dict[str, Any]]:
    """The alarms of that code in health, which says the same to everybody who is logged in."""
    health = console.get("/api/v1/health").json()
    found = [alarm for alarm in health["alarms"] if alarm["code"] == CODE]
    assert health["nothing_judged_since_ms"] == (found[0]["first_ms"] if found else None)
    assert len(found) <= 1
    return found


# --- one machine ------------------------------------------------------------------------------------------------------


def test_rules_that_cannot_keep_what_they_find_are_told_on_one_machine(tmp_path: Path) -> None:
    with running_community(tmp_path, RECORDS) as community:
        until(lambda: not unjudged(community.console), "start without the alarm", OVER_S)
        with closing(sqlite3.connect(tmp_path / "engine.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            begun_ms = time.time_ns() // 1_000_000
            until(lambda: bool(unjudged(community.console)), "alarm", TOLD_S)
            (alarm,) = unjudged(community.console)
            assert alarm["detail"].endswith(("the rules do not follow the log", "database is locked")), alarm
            assert abs(alarm["first_ms"] - begun_ms) < TOLD_S * 1000
            other.execute("ROLLBACK")
        until(lambda: not unjudged(community.console), "end of the alarm", OVER_S)


def test_a_broker_that_was_never_there_is_told_on_one_machine(tmp_path: Path) -> None:
    settings = settings_over(tmp_path, mqtt_embedded="off", console_port="18437")
    with running(tmp_path, settings) as child:
        first = tmp_path / "first-password"
        until(first.exists, "first password", OVER_S)
        until(lambda: _answers("http://127.0.0.1:18437"), "page", OVER_S)
        with closing(logged_in("http://127.0.0.1:18437", first.read_text().strip())) as console:
            until(lambda: bool(unjudged(console)), "alarm", TOLD_S)
            assert "nothing comes from ingest" in unjudged(console)[0]["detail"]
        assert child.running()


def _answers(page: str) -> bool:
    try:
        return httpx.get(f"{page}/api/v1/health").status_code == 200
    except httpx.HTTPError:
        return False


# --- a district -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    plan = Plan(partitions=4, shards=1, workers=1, incidents=1, console=True)
    with running_district(plan, tmp_path_factory.mktemp("district")) as opened:
        opened.put_inventory(RECORDS)
        opened.start("incidents-0", "console", "worker-0", "ingest-0")
        yield opened


@pytest.fixture
def console(district: District) -> Iterator[httpx.Client]:
    """A browser's session, once everything is judged."""
    said = district.process("console").said()
    page = said.split("page=")[-1].split()[0]
    with closing(logged_in(page, (district.folder / "first-password").read_text().strip())) as client:
        until(lambda: not unjudged(client), "district that judges", OVER_S)
        yield client
        until(lambda: not unjudged(client), "end of the alarm", OVER_S)
        until(lambda: not _stored(district), "end of the stored alarm", OVER_S)


def _stored(district: District) -> list[str]:
    with district.incidents_store() as store, store.read() as connection:
        return [alarm.detail for alarm in standing_alarms(connection) if alarm.code is AlarmCode.NOTHING_JUDGED]


def _told(district: District, console: httpx.Client, why: str) -> None:
    until(lambda: bool(unjudged(console)), "alarm", TOLD_S)
    until(lambda: bool(_stored(district)), "stored alarm", TOLD_S)
    assert why in unjudged(console)[0]["detail"]
    assert len(_stored(district)) == 1


@pytest.mark.parametrize("how", ["paused", "killed"])
def test_kafka_away_is_one_alarm_and_no_flood_of_lines(district: District, console: httpx.Client, how: str) -> None:
    kafka, before = district.kafka, {name: p.said() for name, p in _processes(district).items()}
    (kafka.pause if how == "paused" else kafka.kill)()
    try:
        begun_s = time.monotonic()
        _told(district, console, f"Kafka at 127.0.0.1:{kafka.port}")
        until(lambda: time.monotonic() - begun_s >= 45.0, "time for lines", 60.0)  # a part of the minute they are of
        for name, process in _processes(district).items():
            lines = process.said()[len(before[name]) :].splitlines()
            assert len(lines) <= LINES_A_MINUTE, (name, lines)
    finally:
        kafka.revive()


def test_workers_away_are_one_alarm(district: District, console: httpx.Client) -> None:
    worker = district.process("worker-0")
    worker.kill()
    try:
        _told(district, console, "the rules do not follow the log (all 4 partitions)")
    finally:
        district.start("worker-0")


def test_a_worker_that_stands_still_is_one_alarm(district: District, console: httpx.Client) -> None:
    worker = district.process("worker-0")
    worker.pause()
    try:
        _told(district, console, "the rules do not follow the log")
    finally:
        worker.resume()


def test_ingest_away_is_one_alarm(district: District, console: httpx.Client) -> None:
    district.process("ingest-0").kill()
    try:
        _told(district, console, "nothing comes from ingest (all 4 partitions)")
    finally:
        district.start("ingest-0")


def _processes(district: District) -> dict[str, Any]:
    return {name: district.process(name) for name in ("ingest-0", "worker-0", "incidents-0", "console")}
