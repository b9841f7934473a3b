"""The machine's wall clock is wrong at the start, or later, and then put right: the whole product goes on.

``linli run`` is a process of its own under another wall clock. Devices, and the test, have the true time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from app.wiring.ports import free_port
from app.wiring.run_child import start_run, wait_until_ready
from contracts.batch import decode_batch
from contracts.events import (
    AnyEvent,
    ClockStepped,
    Configuration,
    DeviceReported,
    EnvironmentSampled,
    PowerSampled,
)
from contracts.findings import Finding
from contracts.names import DeviceClass
from incidents.store.operator_alarms import standing_alarms
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms
from tests.edge.factories import write_video
from tests.ingest.builders import device, power, site, smoke
from tests.ingest.clients import Devices, wait_until
from tests.support.broker import running_broker
from tests.support.community import RunningCommunity, running_community
from tests.support.wall_clock import WallClock, wall_clock

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(300)]

SECOND, HOUR, DAY = 1, 3_600, 86_400
PROMISED_S = 60.0
"""Within which alarms have the right time, once the clock has."""
RIGHT_MS = 3_000
STARTS: dict[str, Callable[[WallClock], None]] = {
    "a second ahead": lambda clock: clock.off_by(SECOND),
    "a second behind": lambda clock: clock.off_by(-SECOND),
    "five hours ahead": lambda clock: clock.off_by(5 * HOUR),
    "five hours behind": lambda clock: clock.off_by(-5 * HOUR),
    "sixty days ahead": lambda clock: clock.off_by(60 * DAY),
    "sixty days behind": lambda clock: clock.off_by(-60 * DAY),
    "1970": lambda clock: clock.of_1970(),
}


def _records() -> list[Configuration]:
    return [
        site(),
        device("m1", DeviceClass.METER, silent_after_ms=30_000),
        *(device(f"smoke-{n}", DeviceClass.SENSOR) for n in range(4)),
    ]


class _Talk:
    """A meter that speaks each second, and sensors that ring when told; all of them have the true time."""

    def __init__(self, port: int) -> None:
        self._devices = Devices(port)
        self._stop = threading.Event()
        self.readings = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ring(self, n: int) -> None:
        """Sound sensor ``n``."""
        event = smoke(f"fire-{n}", at_ms=wall_ms())
        payload = _as(event, f"smoke-{n}")
        self._devices.send(f"linli/v1/s1/sensor/smoke-{n}/evt", payload)

    def close(self) -> None:
        """Fall silent."""
        self._stop.set()
        self._thread.join()
        self._devices.confirmed()
        self._devices.client.disconnect()
        self._devices.client.loop_stop()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self.readings += 1
            self._devices.say(power(f"p{self.readings}", at_ms=wall_ms()))


def _as(event: EnvironmentSampled, source_id: str) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(event, source_id=source_id))


@contextmanager
def _talk(mqtt_url: str) -> Iterator[_Talk]:
    talk = _Talk(int(mqtt_url.rpartition(":")[2]))
    try:
        yield talk
    finally:
        talk.close()


def _log(folder: Path) -> list[AnyEvent]:
    log = DayLog(folder, readonly=True)
    events: list[AnyEvent] = []
    position = log.begin()
    try:
        while records := log.read(position, 100_000):
            events += [event for record in records for event in decode_batch(record.data).events]
            position = records[-1].position + 1
    finally:
        log.close()
    return events


def _heard(folder: Path, event_id: str) -> EnvironmentSampled | None:
    alarms = [e for e in _log(folder) if isinstance(e, EnvironmentSampled)]
    return next((event for event in alarms if event.event_id == event_id), None)


def _findings(folder: Path) -> list[Finding]:
    store = SqliteCheckpointStore(folder / "engine.db")
    try:
        return [finding for _, finding in store.findings_after(0, 1_000)]
    finally:
        store.close()


def _found(folder: Path, key: str) -> bool:
    return any(finding.key == key for finding in _findings(folder))


def _right_again(folder: Path, talk: _Talk, first: int) -> int:
    """Ring one sensor after the other until one is told at the right time; how many it took."""
    end_s = time.monotonic() + PROMISED_S
    n = first
    while time.monotonic() < end_s:
        talk.ring(n)
        sent_ms = wall_ms()
        assert wait_until(lambda at=n: _heard(folder, f"fire-{at}") is not None)  # type: ignore[misc]
        event = _heard(folder, f"fire-{n}")
        assert event is not None
        if abs(event.received_ms - sent_ms) < RIGHT_MS and not event.untrusted:
            return n
        time.sleep(PROMISED_S / 5)
        n = n + 1 if n < 3 else n
    raise AssertionError("the log's time is still wrong a minute after the machine's clock was right")


def _settled(community: RunningCommunity, talk: _Talk) -> None:
    """Nothing was lost, refused, or accused; the newest alarm was found."""
    folder = community.folder
    assert wait_until(lambda: sum(isinstance(e, PowerSampled) for e in _log(folder)) >= talk.readings - 1)
    letters = DeadLetters(folder / "dead-letters")
    assert letters.list(10) == []
    letters.close()
    assert [f.key for f in _findings(folder) if f.rule == "device_silent"] == []


def _alarms(folder: Path) -> set[str]:
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    try:
        with store.read() as connection:
            return {alarm.code.value for alarm in standing_alarms(connection)}
    finally:
        store.close()


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_start_with_a_wrong_clock_that_is_put_right(
    start: Callable[[WallClock], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wall_clock(tmp_path, monkeypatch) as clock:
        start(clock)
        with running_community(tmp_path, _records()) as community, _talk(community.mqtt_url) as talk:
            talk.ring(0)
            assert wait_until(lambda: _found(tmp_path, "smoke-0"), 20.0)
            clock.off_by(0)
            last = _right_again(tmp_path, talk, 1)
            assert wait_until(lambda: _found(tmp_path, f"smoke-{last}"), 20.0)
            _settled(community, talk)


@pytest.mark.parametrize("off_s", [-60 * DAY, -5 * HOUR, 5 * HOUR, 60 * DAY])
def test_a_clock_that_steps_while_it_runs_and_is_put_right(
    off_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        wall_clock(tmp_path, monkeypatch) as clock,
        running_community(tmp_path, _records()) as community,
        _talk(community.mqtt_url) as talk,
    ):
        talk.ring(0)
        assert wait_until(lambda: _found(tmp_path, "smoke-0"), 20.0)
        clock.off_by(off_s)
        assert wait_until(lambda: _shifts(tmp_path) == 1, PROMISED_S)
        talk.ring(1)
        assert wait_until(lambda: _found(tmp_path, "smoke-1"), 20.0)
        clock.off_by(0)
        last = _right_again(tmp_path, talk, 2)
        assert wait_until(lambda: _found(tmp_path, f"smoke-{last}"), 20.0)
        assert _shifts(tmp_path) == 2
        _settled(community, talk)
        assert wait_until(lambda: "host_clock_stepped" in _alarms(tmp_path), 30.0)


def test_a_life_sixty_days_ahead_does_not_hold_up_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with wall_clock(tmp_path, monkeypatch) as clock:
        clock.off_by(60 * DAY)
        with running_community(tmp_path, _records()) as community, _talk(community.mqtt_url) as talk:
            talk.ring(0)
            assert wait_until(lambda: _found(tmp_path, "smoke-0"), 20.0)
    with running_broker("mosquitto", tmp_path / "another") as mqtt, _talk(mqtt.url) as talk:
        linli = start_run(tmp_path, mqtt_url=mqtt.url, port=free_port("127.0.0.1", 0))
        wait_until_ready(linli)
        last = _right_again(tmp_path, talk, 1)
        assert wait_until(lambda: _found(tmp_path, f"smoke-{last}"), 20.0)
        assert linli.stop() == 0, linli.tail()
    assert _shifts(tmp_path) == 1


@pytest.mark.parametrize("name", ["five hours behind", "sixty days ahead", "1970"])
def test_a_box_with_a_wrong_clock_that_is_put_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a spool, so nothing of it may be lost; what it reports happened when it was received."""
    records: list[Configuration] = [
        site(),
        device("b1", DeviceClass.EDGE, silent_after_ms=30_000),
        device("c1", DeviceClass.CAM, "b1"),
    ]
    with running_community(tmp_path, records) as community, wall_clock(tmp_path, monkeypatch) as clock:
        STARTS[name](clock)
        with community.box(_box(tmp_path, community)):
            assert wait_until(lambda: len(_reports(tmp_path)) >= 5)
            clock.off_by(0)
            taken = len(_reports(tmp_path))
            assert wait_until(lambda: len(_reports(tmp_path)) >= taken + 10)
        numbers = [event.spool.seq for event in _reports(tmp_path) if event.spool is not None]
        assert numbers == sorted(set(numbers))
        assert all(event.stored or event.received_ms - event.at_ms < 10_000 for event in _reports(tmp_path))
        assert all(abs(event.at_ms - wall_ms()) < 300_000 for event in _reports(tmp_path))
        letters = DeadLetters(tmp_path / "dead-letters")
        assert letters.list(10) == []
        letters.close()
        assert [f.key for f in _findings(tmp_path) if f.rule == "device_silent"] == []


def _box(folder: Path, community: RunningCommunity) -> Path:
    video = write_video(folder / "v.mp4", 20)
    file = folder / "box.toml"
    file.write_text(
        f'[box]\nid = "b1"\nsite = "s1"\ndata = "box"\nhealth_s = 1\n[mqtt]\nurl = "{community.mqtt_url}"\n'
        f'[[camera]]\nid = "c1"\nsource = "{video}"\nloop = true\nanalysers = ["high_altitude_throw"]\n',
        encoding="utf-8",
    )
    return file


def _reports(folder: Path) -> list[DeviceReported]:
    return [event for event in _log(folder) if isinstance(event, DeviceReported) and event.source_id == "b1"]


def _shifts(folder: Path) -> int:
    return sum(isinstance(event, ClockStepped) and event.shift_ms != 0 for event in _log(folder))
