"""A running machine is backed up, killed, put back elsewhere and started: the same incidents, and nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from app.wiring.children import Child, linli_arguments
from app.wiring.run_child import environment, run_settings, wait_until_ready, write_secret
from contracts.events import AnyEvent
from contracts.names import DeviceClass
from delivery.receivers.webhook.stand_in import StandIn
from incidents.store.operator_alarms import AlarmCode, standing_alarms
from incidents.store.schema import incidents
from incidents.store.store import Store
from ingest.session.broker import Broker
from inventory.inventory import Inventory
from system.clock import wall_ms
from tests.ingest.builders import device, place, site, smoke
from tests.ingest.clients import Devices, wait_until
from tests.support.broker import running_broker
from tests.support.linli_run import running

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(300)]

SENSORS = 6
SECRET = "0123456789abcdef"


class Machine:
    """One folder after another, at the same broker and with the same receiver."""

    def __init__(self, place_: Path, broker: Broker, receiver: StandIn) -> None:
        self._place, self.broker, self.receiver = place_, broker, receiver
        self.folder = place_
        self.use("data")

    def use(self, name: str) -> None:
        """Go on in another folder."""
        self.folder = self._place / name

    @property
    def settings(self) -> Mapping[str, str]:
        told = run_settings(self.folder, self.broker.url, 0, self.receiver.url)
        return {**told, "LINLI_WEBHOOK_SECRET_FILE": str(self._place / "webhook.secret")}

    @contextmanager
    def running(self) -> Iterator[Child]:
        """``linli run`` in the folder; its logs lie beside it."""
        with running(self._place, self.settings, self.folder.name) as child:
            wait_until_ready(child)
            yield child

    def linli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            linli_arguments(*arguments),
            cwd=self._place,
            env=environment(self.settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def incidents(self) -> dict[str, tuple[Any, ...]]:
        """Of each incident what people call it by: number, place, onset."""
        with closing(Store(f"sqlite:///{self.folder / 'incidents.db'}")) as store, store.read() as connection:
            rows = connection.execute(select(incidents))
            return {row.incident_id: (row.number, row.place_id, row.onset_ms) for row in rows}

    def alarms(self) -> set[AlarmCode]:
        with closing(Store(f"sqlite:///{self.folder / 'incidents.db'}")) as store, store.read() as connection:
            return {alarm.code for alarm in standing_alarms(connection)}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    write_secret(tmp_path, SECRET)
    (tmp_path / "data").mkdir()
    with closing(Inventory(tmp_path / "data" / "config.db")) as inventory:
        sensors = [device(f"smoke-{n}", DeviceClass.SENSOR, place_id=f"hall-{n}") for n in range(SENSORS)]
        inventory.put([site(), *(place(f"hall-{n}") for n in range(SENSORS)), *sensors])
    with running_broker("mosquitto", tmp_path / "broker") as broker, StandIn(SECRET.encode()) as receiver:
        yield Machine(tmp_path, broker, receiver)


def alarm_of(n: int, at_ms: int) -> AnyEvent:
    """The alarm of one sensor, in a hall of its own."""
    return msgspec.structs.replace(smoke(f"a-{n}", at_ms), source_id=f"smoke-{n}", place_id=f"hall-{n}")


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_killed_machine_goes_on_from_its_backup_and_nothing_is_there_twice(
    machine: Machine, tmp_path: Path, name: str
) -> None:
    at_ms = wall_ms()
    early, late = [alarm_of(n, at_ms) for n in range(3)], [alarm_of(n, at_ms) for n in range(3, SENSORS)]
    with machine.running() as child, Devices(machine.broker.port) as devices:
        _say(devices, early)
        assert wait_until(lambda: len(machine.incidents()) == 3)
        made = machine.linli("backup", str(tmp_path / name))
        assert made.returncode == 0, made.stderr
        assert "not in it" in made.stderr and len(made.stdout.splitlines()) >= 8
        then = machine.incidents()
        _say(devices, late)
        assert wait_until(lambda: len(machine.incidents()) == SENSORS)
        told = machine.incidents()
        os.kill(child.pid, signal.SIGKILL)
    machine.use("again")
    back = machine.linli("restore", str(tmp_path / name))
    assert back.returncode == 0, back.stderr
    assert "erase verify" in back.stderr
    assert machine.incidents() == then
    with machine.running(), Devices(machine.broker.port) as devices:
        assert machine.incidents() == then
        _say(devices, [*early, *late, *early, *late])
        assert wait_until(lambda: len(machine.incidents()) == SENSORS)
        last = alarm_of(0, wall_ms())
        _say(devices, [msgspec.structs.replace(last, event_id="proof", place_id="hall-0")])
        assert wait_until(lambda: machine.linli("trace", "proof").returncode == 0)  # what was sent before is judged
        now = machine.incidents()
        assert {name: now[name] for name in then} == then
        assert sorted(at for _, at, _ in now.values()) == sorted(at for _, at, _ in told.values())  # each once
        assert machine.alarms().isdisjoint({AlarmCode.INVENTORY_WENT_BACK, AlarmCode.LOG_GAP})
    assert machine.receiver.told_twice() == 0
    refused = machine.linli("restore", str(tmp_path / name))
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_a_damaged_backup_ends_with_one_sentence(machine: Machine, tmp_path: Path) -> None:
    made = machine.linli("backup", str(tmp_path / "backup.tar"))
    assert made.returncode == 0, made.stderr
    content = (tmp_path / "backup.tar").read_bytes()
    (tmp_path / "backup.tar").write_bytes(content[: len(content) // 2])
    machine.use("again")
    refused = machine.linli("restore", str(tmp_path / "backup.tar"))
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1 and "take another backup" in refused.stderr
    assert not machine.folder.exists()


def _say(devices: Devices, events: list[AnyEvent]) -> None:
    for event in events:
        devices.say(event)
    devices.confirmed()
