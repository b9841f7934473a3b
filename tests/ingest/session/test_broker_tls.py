"""MQTT over TLS: ingest and a box get in with what is right, and say in a sentence what is wrong with the broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import structlog

from contracts.errors import ConfigurationError, Transient
from contracts.secrets import Secret
from edge.uplink.mqtt import BrokerConfig, BrokerConnection
from ingest.session.broker import MosquittoChild, free_port
from ingest.session.broker_check import kept_while_away
from ingest.session.session import Connected, Ended, MqttSession, Signal, forget_session
from ingest.settings import BrokerAddress, broker_address
from system.tls import TlsFiles
from tests.ingest.clients import wait_until
from tests.support.authority import EXPIRED, FUTURE, GOOD, Authority
from tests.support.broker import need_mosquitto

STATES = [
    (EXPIRED, "has expired, or this machine's clock (2"),
    (FUTURE, "is not valid yet, or this machine's clock (2"),
]
PATIENCE_S = 30.0

pytestmark = [
    pytest.mark.service,
    pytest.mark.patient,
    # paho leaves the sockets of failed handshakes to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@contextmanager
def _broker(folder: Path, authority: Authority, days: tuple[int, int] = GOOD, rest: str = "") -> Iterator[int]:
    """A broker that shows such a certificate; its port."""
    files, port = authority.issue("broker", days), free_port()
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", f"certfile {files.cert_file}"]
    text = "\n".join([*lines, f"keyfile {files.key_file}", rest, "user root", ""])
    broker = MosquittoChild(need_mosquitto(), folder / "broker", port, text)
    try:
        yield port
    finally:
        broker.stop()


def _address(port: int, ca_file: Path | None, ours: TlsFiles | None = None, password: str = "") -> BrokerAddress:
    files = msgspec.structs.replace(ours or TlsFiles(table="mqtt"), table="mqtt", ca_file=ca_file)
    return broker_address(f"mqtts://127.0.0.1:{port}", Secret(password), files)


def _box(port: int, ca_file: Path, ours: TlsFiles | None = None) -> BrokerConfig:
    named = {} if ours is None else {"cert_file": str(ours.cert_file), "key_file": str(ours.key_file)}
    return BrokerConfig(url=f"mqtts://127.0.0.1:{port}", ca_file=str(ca_file), **named)


def _says(address: BrokerAddress, protocol: str, words: str) -> list[Signal]:
    """Return what a session signals that has said ``words`` in the log."""
    signals: list[Signal] = []
    with structlog.testing.capture_logs() as said:
        session = MqttSession(address, "linli-ingest-0", ["#"], "linli/probe/x", signals.extend, protocol)
        session.start()
        assert wait_until(lambda: any(words in str(line.get("error")) for line in said), PATIENCE_S), said
        session.stop()
    return signals


@pytest.mark.parametrize("protocol", ["auto", "5"])
@pytest.mark.parametrize(("days", "said"), STATES)
def test_a_certificate_out_of_its_time_is_waited_for_and_said(
    tmp_path: Path, days: tuple[int, int], said: str, protocol: str
) -> None:
    authority = Authority(tmp_path)
    with _broker(tmp_path, authority, days) as port:
        address = _address(port, authority.ca_file)
        assert _says(address, protocol, said) == []
        for ask in (lambda: kept_while_away(address), lambda: forget_session(address, "linli-ingest-0")):
            with pytest.raises(Transient) as caught:
                ask()
            assert said in str(caught.value)


@pytest.mark.parametrize("protocol", ["auto", "5"])
def test_an_authority_that_is_not_ours_is_said_with_its_setting(tmp_path: Path, protocol: str) -> None:
    other = Authority(tmp_path / "other", "another authority")
    with _broker(tmp_path, Authority(tmp_path)) as port:
        assert _says(_address(port, other.ca_file), protocol, "name its authority in mqtt.ca_file") == []
        with pytest.raises(Transient, match=r"name its authority in \[mqtt\] ca_file"):
            BrokerConnection(_box(port, other.ca_file), "box", "topic", lambda _payload: None)


def test_a_broker_that_asks_for_our_certificate_gets_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    asks = f"require_certificate true\ncafile {authority.ca_file}"
    ours = authority.issue("linli")
    with _broker(tmp_path, authority, rest=asks) as port:
        signals: list[Signal] = []
        session = MqttSession(_address(port, authority.ca_file, ours), "linli-ingest-0", ["#"], "p", signals.extend)
        session.start()
        assert wait_until(lambda: any(isinstance(signal, Connected) for signal in signals), PATIENCE_S)
        session.stop()
        connection = BrokerConnection(_box(port, authority.ca_file, ours), "box", "topic", lambda _payload: None)
        end_s = time.monotonic() + PATIENCE_S
        while not connection.ready and time.monotonic() < end_s:
            connection.loop(0.1)
        assert connection.ready
        connection.close()


def test_a_wrong_password_ends_ingest_with_a_sentence(tmp_path: Path) -> None:
    authority, accounts = Authority(tmp_path), tmp_path / "accounts"
    accounts.write_text("", encoding="utf-8")
    with _broker(tmp_path, authority, rest=f"password_file {accounts}\nallow_anonymous false") as port:
        address, signals = _address(port, authority.ca_file, password="ingest:wr0ng"), list[Signal]()
        session = MqttSession(address, "linli-ingest-0", ["#"], "p", signals.extend)
        session.start()
        assert wait_until(lambda: signals != [], PATIENCE_S)
        session.stop()
        first = signals[0]
        assert isinstance(first, Ended)
        assert first.configuration
        assert "mqtt.password_file" in first.reason
        assert "wr0ng" not in first.reason


def test_files_that_cannot_be_used_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one"), authority.issue("two")
    mixed = msgspec.structs.replace(one, key_file=two.key_file)
    for files, words in ((mixed, "is not the key of the certificate in mqtt.cert_file"), (None, "mqtt.ca_file = ")):
        address = _address(1, tmp_path / "missing" if files is None else authority.ca_file, files)
        with pytest.raises(ConfigurationError) as caught:
            MqttSession(address, "linli-ingest-0", ["#"], "p", lambda _signals: None)
        assert words in str(caught.value)
