"""Each of our settings for mosquitto, by what it does; where it tells, beside what the default does."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import psutil
import pytest

from contracts.events.identity import IN_FLIGHT
from ingest.session import broker as broker_module
from tests.ingest.clients import Devices, Listener, wait_until
from tests.support.broker import mosquitto

pytestmark = pytest.mark.service
OURS = Path(broker_module.__file__).parent / "mosquitto.conf"
DEPLOYED = Path(__file__).resolve().parents[3] / "deploy" / "mosquitto" / "mosquitto.conf"


def _without(setting: str, text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(setting))


def _with(setting: str, value: str, text: str) -> str:
    return _without(setting, text) + f"\n{setting} {value}\n"


def _burst(port: int, count: int, size: int = 100, qos: int = 1) -> None:
    with Devices(port) as devices:
        for n in range(count):
            devices.send("burst/x", n.to_bytes(4, "big") + b"x" * (size - 4), qos)
        devices.send("after/burst", b"")  # its PUBACK says that the broker has read what came before it, QoS 0 too
        devices.confirmed()


def _heard_after_absence(port: int, count: int, **burst: int) -> int:
    """How many of a burst a client with a session hears that was away meanwhile."""
    Listener(port, "burst/#", "away", clean=False).close()
    time.sleep(0.2)  # the broker has seen it go
    _burst(port, count, **burst)
    back = Listener(port, "burst/#", "away", clean=False)
    with Devices(port) as devices:
        while not (last := [topic for topic, _ in back.heard if topic == "burst/last"]):
            devices.send("burst/last", b"")  # behind what waits; where there is no room it is dropped, and said again
            wait_until(lambda: any(topic == "burst/last" for topic, _ in back.heard), 0.5)
    back.close()
    return len(back.heard) - len(last)


def test_the_deployed_settings_are_the_ones_tested_here() -> None:
    deployed, ours = DEPLOYED.read_text(encoding="utf-8"), OURS.read_text(encoding="utf-8")
    assert deployed.startswith(ours)
    added = [line.split()[0] for line in deployed.removeprefix(ours).splitlines() if line and not line.startswith("#")]
    assert added == ["persistence_location", "include_dir", "log_dest"]
    for line in ours.splitlines():
        assert line.startswith("#") or not line or "  " not in line


def test_max_queued_messages_0_keeps_a_burst_that_the_default_drops(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "ours") as ours:
        assert _heard_after_absence(ours.port, 2_500) == 2_500
    with mosquitto(tmp_path / "default", change=lambda t: _without("max_queued_messages", t)) as default:
        assert _heard_after_absence(default.port, 2_500) < 2_500


def test_max_queued_bytes_still_bounds_the_queue(tmp_path: Path) -> None:
    with mosquitto(tmp_path, change=lambda t: _with("max_queued_bytes", "100000", t)) as small:
        heard = _heard_after_absence(small.port, 1_200)
    assert 0 < heard < 1_200


def test_far_more_is_delivered_ahead_of_the_acknowledgements_than_by_default(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "ours") as ours:
        silent = Listener(ours.port, "burst/#", manual=True)
        _burst(ours.port, 3_000)
        assert wait_until(lambda: len(silent.heard) == 3_000)
        silent.close()
    with mosquitto(tmp_path / "default", change=lambda t: _without("max_inflight_messages", t)) as default:
        silent = Listener(default.port, "burst/#", manual=True)
        _burst(default.port, 100)
        assert wait_until(lambda: len(silent.heard) == 20)
        time.sleep(0.3)
        assert len(silent.heard) == 20
        silent.close()


def test_no_more_is_in_flight_than_what_is_remembered(tmp_path: Path) -> None:
    """To a client of MQTT 3.1.1, which cannot ask for a number itself."""
    with mosquitto(tmp_path) as ours:
        silent = Listener(ours.port, "burst/#", manual=True)
        _burst(ours.port, IN_FLIGHT + 500)
        assert wait_until(lambda: len(silent.heard) == IN_FLIGHT)
        time.sleep(0.5)  # what more there is would come now
        assert len(silent.heard) == IN_FLIGHT
        silent.close()


def test_sessions_outlive_a_stop_and_with_the_autosave_a_kill(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as first:
        Listener(first.port, "burst/#", "away", clean=False).close()
        _burst(first.port, 50)
    with mosquitto(tmp_path, change=lambda t: _with("autosave_interval", "1", t)) as second:
        _burst(second.port, 50)
        saved = (tmp_path / "mosquitto.db").stat().st_mtime_ns
        assert wait_until(lambda: (tmp_path / "mosquitto.db").stat().st_mtime_ns != saved)
        time.sleep(0.3)
        second.kill()
    with mosquitto(tmp_path) as third:
        back = Listener(third.port, "burst/#", "away", clean=False)
        assert wait_until(lambda: len(back.heard) == 100)
        back.close()


def test_qos_0_is_not_kept_for_who_is_away(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as ours:
        assert _heard_after_absence(ours.port, 20, qos=0) == 0


def test_10_mb_come_through_to_be_refused_by_us_and_17_mb_do_not(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as ours:
        listener = Listener(ours.port, "burst/#")
        _burst(ours.port, 1, size=10_000_000)
        assert wait_until(lambda: len(listener.heard) == 1)
        with Devices(ours.port) as devices:
            devices.send("burst/x", b"x" * 17_000_000, qos=0)
            time.sleep(0.5)
        _burst(ours.port, 1)
        assert wait_until(lambda: len(listener.heard) == 2)
        assert [len(payload) for _, payload in listener.heard] == [10_000_000, 100]
        listener.close()


def test_sessions_expire_after_two_weeks_in_words_that_mosquitto_knows(tmp_path: Path) -> None:
    """Two weeks cannot be waited for; a wrong unit makes mosquitto refuse its settings, which would fail every test."""
    with mosquitto(tmp_path) as ours:
        assert ours.running()
    assert "persistent_client_expiration 14d" in OURS.read_text(encoding="utf-8")


def test_small_packets_do_not_wait_for_each_other_in_words_that_mosquitto_knows(tmp_path: Path) -> None:
    """On the loopback a hundred answers take 0.1 s with and without it: what Nagle holds back shows on a network."""
    with mosquitto(tmp_path) as ours:
        assert ours.running()
    assert "set_tcp_nodelay true" in OURS.read_text(encoding="utf-8")


def test_ours_listens_on_loopback_only(tmp_path: Path) -> None:
    others = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    with mosquitto(tmp_path) as ours:
        for host in others:
            with socket.socket() as probe:
                probe.settimeout(1)
                assert probe.connect_ex((host, ours.port)) != 0
