"""From one machine to a district as the page says it, with default settings: nothing that devices say stays behind."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import func, select

from app.settings.loading import load_settings
from app.wiring.run_child import start_child, wait_until_ready
from contracts.events import Configuration, EnvironmentSampled
from contracts.names import DeviceClass, partition_of
from incidents.store.operator_alarms import AlarmCode, standing_alarms
from incidents.store.schema import incidents
from inventory.inventory import Inventory
from system.clock import wall_ms
from tests.ingest.builders import device, place, site, smoke
from tests.ingest.clients import Devices
from tests.support.whole_district import District, Plan, running_district

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).resolve().parents[4] / "docs" / "operations.md"
PARTITIONS, SHARDS = 4, 2
PATIENCE_S = 120.0
WHEN = ("before", "between", "after")
"""A sensor each: it rings while the machine runs, after it has ended, and after it was migrated."""


def commands() -> list[list[str]]:
    """The commands of ``linli`` that the page gives, in their order."""
    section = PAGE.read_text(encoding="utf-8").split("## From one machine to a district")[1]
    lines = re.findall(r"```\n(.*?)```", section, re.DOTALL)[0].splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("linli ")]


def sites() -> list[str]:
    """A site for each shard."""
    named = [f"s{n}" for n in range(20)]
    return [next(s for s in named if partition_of(s, PARTITIONS) % SHARDS == shard) for shard in range(SHARDS)]


def records() -> Iterator[Configuration]:
    for site_id in sites():
        yield site(site_id)
        for when in WHEN:
            hall = msgspec.structs.replace(place(f"hall-{when}"), site_id=site_id)
            sensor = device(f"smoke-{when}", DeviceClass.SENSOR, place_id=f"hall-{when}", site_id=site_id)
            yield from (hall, sensor)


def rings(site_id: str, when: str) -> EnvironmentSampled:
    """The alarm of a sensor; each device counts its messages anew, so ids are the same at both sites."""
    event = smoke(f"a-{when}", wall_ms())
    return msgspec.structs.replace(event, site_id=site_id, source_id=f"smoke-{when}", place_id=f"hall-{when}")


@pytest.fixture
def district(tmp_path: Path) -> Iterator[District]:
    plan = Plan(partitions=PARTITIONS, shards=SHARDS, workers=1, incidents=1)
    with running_district(plan, tmp_path) as opened:
        yield opened


def test_the_documented_commands_leave_no_message_behind(district: District, tmp_path: Path) -> None:
    old, url = tmp_path / "old", district.environment()["LINLI_MQTT_URL"]
    (old / "linli-data").mkdir(parents=True)
    (old / "linli.toml").write_text(f'[mqtt]\nurl = "{url}"\nembedded = "off"\n', encoding="utf-8")
    with closing(Inventory(old / "linli-data" / "config.db")) as inventory:
        inventory.put(list(records()))
    with Devices(urlsplit(district.mqtt_url).port or 0) as devices:
        machine = start_child("machine", old, "run", settings={})
        try:
            wait_until_ready(machine)
            _ring(devices, "before")
            _until(lambda: _opened_in(old) == SHARDS, "incidents of the machine")
        finally:
            assert machine.stop() == 0, machine.tail()
        _ring(devices, "between")
        create, migrate, *processes = commands()
        assert create == ["topics", "create"] and processes[0][:2] == ["ingest", "run"]
        for command in (create, migrate):
            district.linli(*[word.replace("/srv/old", str(old)) for word in command])
        _ring(devices, "after")
        district.start("ingest-0", "ingest-1", "worker-0", "incidents-0")
        _until(lambda: _opened(district) >= SHARDS * len(WHEN), "all incidents")
    with district.incidents_store() as store, store.read() as connection:
        found = sorted((row.site_id, row.place_id) for row in connection.execute(select(incidents)))
        alarms = {alarm.code for alarm in standing_alarms(connection)}
        first = connection.execute(select(incidents).where(incidents.c.place_id == "hall-before")).first()
    assert found == sorted((site_id, f"hall-{when}") for site_id in sites() for when in WHEN)
    assert alarms.isdisjoint({AlarmCode.LOG_GAP, AlarmCode.FINDING_CONTRADICTS, AlarmCode.INVENTORY_WENT_BACK})
    assert first is not None
    told = district.linli("trace", first.incident_id).stdout.decode()
    assert "judged again then" in told
    assert not re.search(r"-\d+\.\d+ s", told), told


def _ring(devices: Devices, when: str) -> None:
    for site_id in sites():
        devices.say(rings(site_id, when))
    devices.confirmed()


def _opened_in(folder: Path) -> int:
    from incidents.store.store import Store

    with (
        closing(Store(load_settings(folder / "linli.toml", {}, working=folder).incidents.url)) as store,
        store.read() as connection,
    ):
        return int(connection.execute(select(func.count()).select_from(incidents)).scalar_one())


def _opened(district: District) -> int:
    with district.incidents_store() as store, store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(incidents)).scalar_one())


def _until(done: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s, f"no {what}"
        time.sleep(0.2)
