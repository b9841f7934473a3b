"""``linli run`` as people run it: it starts, ends in order, and says clearly why it does not."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from app.settings.loading import load_settings
from app.wiring.community import CommunityProcess
from app.wiring.folder_lock import FolderLock
from app.wiring.ports import free_port, listens
from app.wiring.run_child import wait_until_ready
from contracts.errors import ConfigurationError, LogBroken, Permanent
from streams.log.sqlite.day_log import DayLog
from tests.support.broker import need_mosquitto
from tests.support.linli_run import HOST, PATIENCE_S, ended, run_here, running, settings_over, wait_for

# --- it starts and ends -----------------------------------------------------------------------------------------------


@pytest.mark.service
@pytest.mark.parametrize(
    ("kind", "children", "number"), [("mosquitto", 1, signal.SIGTERM), ("amqtt", 0, signal.SIGINT)]
)
def test_it_starts_broker_and_page_on_free_ports_and_a_signal_ends_all_in_order(
    tmp_path: Path, kind: str, children: int, number: signal.Signals
) -> None:
    if kind == "mosquitto":
        need_mosquitto()
    settings = settings_over(tmp_path, mqtt_embedded=kind)
    mqtt, page = urlsplit(settings["LINLI_MQTT_URL"]), ""
    with running(tmp_path, settings) as child:
        page = wait_until_ready(child)
        assert f"broker={kind}" in child.tail()
        password = (tmp_path / "first-password").read_text().strip()
        assert len(password) == 20 and password not in child.tail()
        assert listens(HOST, mqtt.port or 0)
        process = psutil.Process(child.pid)
        family = process.children(recursive=True)
        assert len(family) == children
        process.send_signal(number)
        assert ended(child) == 0, child.tail()
    assert psutil.wait_procs(family, timeout=PATIENCE_S)[1] == []
    assert not listens(HOST, mqtt.port or 0)
    assert not listens(HOST, urlsplit(page).port or 0)
    with FolderLock(tmp_path):
        assert DayLog(tmp_path).last_watermark_ms() >= 0


@pytest.mark.service
def test_a_second_one_refuses_the_same_folder_and_takes_free_ports_on_another(tmp_path: Path) -> None:
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
    assert psutil.wait_procs([broker, again], timeout=PATIENCE_S)[1] == []


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
        (
            "",
            {"inventory_url": "sqlite:///"},
            "inventory.url = 'sqlite:///' (from environment): expected sqlite:///PATH",
        ),
        ("", {"webhook_url": "https://h"}, "webhook.secret_file is empty"),
        ("", {"webhook_url": "https://h", "webhook_secret_file": "none"}, "none' cannot be read: FileNotFoundError"),
        ("", {"webhook_url": "https://h", "webhook_secret_file": "."}, "cannot be read: IsADirectoryError"),
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


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ConfigurationError("the broker refuses us"), ConfigurationError, "^the broker refuses us$"),
        (LogBroken("gap"), LogBroken, "^gap$"),
        (ZeroDivisionError("x"), Permanent, "^stopped, since its part 'failing' failed: ZeroDivisionError: x$"),
    ],
)
def test_what_ends_a_thread_ends_it_all_and_is_told_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Permanent], said: str
) -> None:
    for name, value in settings_over(tmp_path).items():
        monkeypatch.setenv(name, value)
    community = CommunityProcess(load_settings())

    def fails(_stop: threading.Event) -> None:
        raise error

    community.threads.start("failing", fails)
    community.wait()
    with pytest.raises(kind, match=said):
        community.close()
    with FolderLock(tmp_path):
        pass
