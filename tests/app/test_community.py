"""``linli run`` as people run it: it starts, ends in order, and says clearly why it does not."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from sqlalchemy import select

from app import main
from app.children import Child
from app.community import Community, free_port, listens
from app.folder_lock import FolderLock
from app.run_child import run_settings, start_child, wait_until_ready
from app.settings import load_settings
from contracts.events import AnyEvent, EnvironmentSampled
from detectors.registry import all_rules
from incidents.alarms import Alarm, AlarmCode, standing_alarms
from incidents.schema import incidents
from incidents.store import Store
from streams.daylog import DayLog
from streams.drivers.embedded import EmbeddedDriver
from streams.engine import Engine
from streams.engine_store import EngineStore
from tests.streams.support import batch, device, of, passage
from tests.support.broker import need_mosquitto

HOST = "127.0.0.1"
DAY_MS = 86_400_000
PATIENCE_S = 60.0


def settings_over(folder: Path, **changes: str) -> dict[str, str]:
    """The environment of ``linli run`` over ``folder``: its own broker port, any page port, no broker started."""
    settings = run_settings(folder, f"mqtt://{HOST}:{free_port(HOST, 0)}", 0, "")
    return settings | {f"LINLI_{name.upper()}": value for name, value in changes.items()}


@contextmanager
def running(folder: Path, settings: Mapping[str, str], name: str = "linli") -> Iterator[Child]:
    """``linli run``, ended whatever happens."""
    child = start_child(name, folder, "run", settings=settings)
    try:
        yield child
    finally:
        child.stop()


def wait_for(child: Child, done: Callable[[], bool], what: str) -> None:
    """Wait until ``done``."""
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s, f"no {what}:\n{child.tail()}"
        time.sleep(0.05)


def ended(child: Child) -> int:
    """Its exit code, once it has ended by itself."""
    wait_for(child, lambda: not child.running(), "end")
    return child.stop()


def write_days(folder: Path, days: range) -> None:
    """Append a day file each: a device's record first, then somebody passing."""
    log = DayLog(folder)
    for day in days:
        event: AnyEvent = passage(f"p{day}", day * DAY_MS) if day else device(1, 0, "d1")
        log.append([batch(day * DAY_MS + 1_000, event)])
    log.close()


def write_alarms(folder: Path, days: range) -> None:
    """Append a day file each, with a fire sensor's alarm."""
    log = DayLog(folder)
    for day in days:
        sensor = f"sensor-{day}"
        alarm = of(EnvironmentSampled, f"a{day}", day * DAY_MS, sensor, place_id=sensor, alarm=True)
        log.append([batch(day * DAY_MS + 1_000, alarm)])
    log.close()


def taken_over(folder: Path) -> set[str]:
    """The places with incidents, after everything in the log was judged and handed over."""
    community = Community(load_settings())
    community._driver.open()
    while community._intake.step():
        pass
    community.close()
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    with store.read() as connection:
        places = {str(place) for (place,) in connection.execute(select(incidents.c.place_id))}
    store.close()
    return places


def judge(folder: Path) -> None:
    """Judge the whole log and keep every snapshot, as ``linli run`` does when it ends."""
    log, store = DayLog(folder), EngineStore(folder / "engine.db")
    driver = EmbeddedDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity()))
    driver.open()
    driver.save()
    store.close()
    log.close()


def alarms_in(folder: Path) -> list[Alarm]:
    """What the page shows as wrong with Linli itself."""
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    with store.read() as connection:
        found = standing_alarms(connection)
    store.close()
    return found


def run_here(monkeypatch: pytest.MonkeyPatch, folder: Path, settings: Mapping[str, str]) -> int:
    """The exit code of ``linli run`` in this process: for runs that are refused before anything starts."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["linli", "run"])
    monkeypatch.setattr("app.logs.configure_logs", lambda: None)  # other tests go on in this process
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


# --- it starts and ends -----------------------------------------------------------------------------------------------


@pytest.mark.service
@pytest.mark.parametrize(
    ("kind", "children", "number"), [("mosquitto", 1, signal.SIGTERM), ("amqtt", 0, signal.SIGINT)]
)
def test_it_starts_a_broker_and_a_page_on_free_ports_and_a_signal_ends_it_all_in_order(
    tmp_path: Path, kind: str, children: int, number: signal.Signals
) -> None:
    if kind == "mosquitto":
        need_mosquitto()
    settings = settings_over(tmp_path, mqtt_embedded=kind)
    mqtt, page = urlsplit(settings["LINLI_MQTT_URL"]), ""
    with running(tmp_path, settings) as child:
        page = wait_until_ready(child)
        assert f"broker={kind}" in child.tail()
        assert "password=" in child.tail()  # of the first user, shown once
        assert listens(HOST, mqtt.port or 0)
        process = psutil.Process(child.pid)
        family = process.children(recursive=True)
        assert len(family) == children
        process.send_signal(number)
        assert ended(child) == 0, child.tail()
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert not listens(HOST, mqtt.port or 0)
    assert not listens(HOST, urlsplit(page).port or 0)
    with FolderLock(tmp_path):
        assert DayLog(tmp_path).last_watermark_ms() >= 0


@pytest.mark.service
def test_a_second_one_on_the_same_folder_refuses_and_a_second_on_another_takes_what_is_free(tmp_path: Path) -> None:
    need_mosquitto()
    settings = settings_over(tmp_path, mqtt_embedded="mosquitto")
    with running(tmp_path, settings) as first:
        port = urlsplit(wait_until_ready(first)).port or 0
        with running(tmp_path, settings, "second") as second:
            assert ended(second) == 2
            assert second.tail() == (
                f"linli: configuration: {tmp_path} is in use by process {first.pid}; stop it, or give this one "
                "another folder (log.url)\n"
            )
        other = settings_over(
            tmp_path / "other",
            mqtt_url=settings["LINLI_MQTT_URL"],
            mqtt_embedded="auto",
            mqtt_client_id="another",
            console_port=str(port),
        )
        with running(tmp_path, other, "other") as third:
            assert port < (urlsplit(wait_until_ready(third)).port or 0) <= port + 100
            assert "broker_started" not in third.tail()  # the one that answers is used
            assert psutil.Process(third.pid).children() == []
            assert third.stop() == 0, third.tail()
        assert first.running()
        assert listens(HOST, urlsplit(settings["LINLI_MQTT_URL"]).port or 0)
        assert first.stop() == 0, first.tail()


@pytest.mark.service
def test_its_own_broker_is_started_again_when_it_was_killed(tmp_path: Path) -> None:
    need_mosquitto()
    with running(tmp_path, settings_over(tmp_path, mqtt_embedded="mosquitto")) as child:
        wait_until_ready(child)
        (broker,) = psutil.Process(child.pid).children()
        broker.kill()
        wait_for(child, lambda: "connection=2" in child.tail(), "second connection")
        assert "broker_died" in child.tail()
        (again,) = psutil.Process(child.pid).children()
        assert child.stop() == 0, child.tail()
    assert psutil.wait_procs([broker, again], timeout=10)[1] == []


def test_a_new_engine_store_is_handed_over_from_its_start_though_the_old_one_had_come_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_over(tmp_path).items():
        monkeypatch.setenv(name, value)
    write_alarms(tmp_path, range(2))
    assert taken_over(tmp_path) == {"sensor-0", "sensor-1"}
    for file in [*tmp_path.glob("engine.db*"), *tmp_path.glob("log-20270115*")]:
        file.unlink()
    write_alarms(tmp_path, range(2, 3))
    assert taken_over(tmp_path) == {"sensor-0", "sensor-1", "sensor-2"}


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port(HOST, port) <= port + 100


# --- it refuses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("", {"log_uurl": "x"}, "LINLI_LOG_UURL is no setting"),
        ("[log]\nurll = 'x'\n", {}, "unknown key 'log.urll' (did you mean 'log.url'?)"),
        ("[console]\nport = 'many'\n", {"console_port": "many"}, "console.port = 'many' (from environment)"),
        ("", {"log_url": "kafka://h:1"}, "log.url is Kafka"),
        ("", {"inventory_url": "sqlite:///"}, "inventory.url = 'sqlite:///': on one machine this must be"),
        ("", {"webhook_url": "http://h"}, "webhook.secret_file is empty"),
        ("", {"webhook_url": "http://h", "webhook_secret_file": "none"}, "webhook.secret_file = 'none' cannot be read"),
        ("", {"webhook_url": "http://h", "webhook_secret_file": "."}, "webhook.secret_file = '.' cannot be read"),
    ],
)
def test_what_is_set_wrong_is_named_with_exit_code_2_and_leaves_nothing_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    changes: dict[str, str],
    said: str,
) -> None:
    (tmp_path / "linli.toml").write_text(file)
    assert run_here(monkeypatch, tmp_path, settings_over(tmp_path, **changes)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("linli: configuration: ")
    assert said in err
    with FolderLock(tmp_path):
        pass


@pytest.mark.service
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mqtt_password_file": "none"}, "mqtt.password_file = 'none' cannot be read"),
        ({"mqtt_url": "mqtt://127.0.0.2:9", "mqtt_embedded": "auto"}, "a broker is only started on 127.0.0.1"),
    ],
)
def test_what_shows_only_on_starting_has_exit_code_2_too(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with running(tmp_path, settings_over(tmp_path, **changes)) as child:
        assert ended(child) == 2
        assert said in child.tail()
        assert "Traceback" not in child.tail()


# --- damaged and missing files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["engine.db", "log-20270115.db", "config.db", "incidents.db"])
def test_a_file_that_is_no_database_is_named_with_what_to_do_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    rubbish = b"rubbish, not a database " * 400
    (tmp_path / name).write_bytes(rubbish)
    assert run_here(monkeypatch, tmp_path, settings_over(tmp_path)) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert name in err
    assert "restore it or move it away" in err
    assert (tmp_path / name).read_bytes() == rubbish


def test_a_missing_day_between_others_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_days(tmp_path, range(3))
    sorted(tmp_path.glob("log-????????.db"))[1].unlink()
    assert run_here(monkeypatch, tmp_path, settings_over(tmp_path)) == 1
    assert "does not continue" in capsys.readouterr().err


@pytest.mark.service
def test_another_log_under_its_snapshots_ends_it_with_log_replaced(tmp_path: Path) -> None:
    write_days(tmp_path, range(2))
    judge(tmp_path)
    for file in tmp_path.glob("log-*"):
        file.unlink()
    write_days(tmp_path, range(1, 3))
    with running(tmp_path, settings_over(tmp_path)) as child:
        assert ended(child) == 1
        assert "linli: log_replaced: snapshots are of log" in child.tail()
        assert "Traceback" not in child.tail()


@pytest.mark.service
def test_days_removed_before_they_were_judged_are_a_loud_gap_and_the_rest_is_judged(tmp_path: Path) -> None:
    write_days(tmp_path, range(1))
    judge(tmp_path)
    write_days(tmp_path, range(1, 4))
    for file in sorted(tmp_path.glob("log-????????.db"))[:3]:
        file.unlink()
    with running(tmp_path, settings_over(tmp_path)) as child:
        wait_for(child, lambda: "positions 1 to 2 are no longer in the log" in child.tail(), "alarm")
        assert "log_gap" in child.tail()
        wait_for(child, lambda: "first_run" in child.tail(), "start behind the gap")
        assert child.stop() == 0, child.tail()
    store = EngineStore(tmp_path / "engine.db")
    assert [alarm.code for alarm in alarms_in(tmp_path)] == [AlarmCode.LOG_GAP]
    assert len(store.load(Engine(all_rules(), partition=0, partitions=1, log_id="").digest)[0]) == 1
    store.close()
