"""The district's broker, with the very files its container mounts: TLS, accounts, and who may say and hear what."""

from __future__ import annotations

import shutil
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from contracts.secrets import Secret
from ingest.pipeline.pipeline import Arrival
from ingest.session.protocol_version import speaks_version_5
from ingest.session.session import Connected, Ended, MqttSession, Signal
from ingest.settings import broker_address
from system.tls import TlsFiles
from tests.support.broker import need_mosquitto
from tests.support.district_broker import DistrictBroker, secrets_module

BOX = "site-01/edge/box-street"
PATIENCE_S = 60.0

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.patient]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistrictBroker]:
    need_mosquitto()
    running = DistrictBroker(tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


class Client:
    """One plain MQTT client, of 3.1.1 as most devices."""

    def __init__(self, running: DistrictBroker, password: str = "", port: int = 0) -> None:
        self.heard: list[str] = []
        self.reason = ""
        self._changed = threading.Condition()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        if password:
            self._mqtt.username_pw_set(*password.strip().split(":", 1))
        self._mqtt.tls_set(ca_certs=running.ca_file)
        self._mqtt.on_connect = self._connected
        self._mqtt.on_message = self._message
        self._mqtt.on_subscribe = lambda *_: self._note(subscribed=True)
        self._mqtt.connect("127.0.0.1", port or running.port)
        self._mqtt.loop_start()

    def subscribe(self, topic: str) -> None:
        self.wait_connected()  # what is said before the broker has answered may be lost
        self.subscribed = False
        self._mqtt.subscribe(topic, qos=1)
        self.wait(lambda: self.subscribed)

    def publish(self, topic: str, qos: int = 1) -> None:
        self.wait_connected()
        self._mqtt.publish(topic, b"{}", qos=qos)

    def wait_connected(self) -> str:
        self.wait(lambda: self.reason != "")
        return self.reason

    def wait_heard(self, topic: str) -> list[str]:
        self.wait(lambda: topic in self.heard)
        return self.heard

    def wait_times(self, topic: str, times: int) -> None:
        self.wait(lambda: self.heard.count(topic) >= times)

    def wait(self, done: object) -> None:
        assert callable(done)
        with self._changed:
            assert self._changed.wait_for(done, PATIENCE_S)

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def _connected(self, _c: object, _d: object, _f: object, reason: ReasonCode, _p: object) -> None:
        self._note(reason=str(reason))

    def _message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.heard.append(message.topic)
            self._changed.notify_all()

    def _note(self, **what: object) -> None:
        with self._changed:
            for name, value in what.items():
                setattr(self, name, value)
            self._changed.notify_all()


def test_nobody_gets_in_without_an_account_or_with_a_wrong_password(running: DistrictBroker) -> None:
    for port in (running.port, running.platform_port):
        for password in ("", "ingest:wrong", f"{BOX}:wrong", "site-01/+/+:x"):
            client = Client(running, password, port)
            assert client.wait_connected() == "Not authorized"
            client.close()


def test_a_broker_that_our_authority_did_not_certify_is_not_spoken_to(running: DistrictBroker, tmp_path: Path) -> None:
    other = tmp_path / "other"
    secrets_module().make_secrets(other)
    address = broker_address(
        f"mqtts://127.0.0.1:{running.port}", tls=TlsFiles(table="mqtt", ca_file=other / "linli" / "ca.crt")
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        speaks_version_5(address)


def test_a_device_speaks_below_its_own_prefix_only(running: DistrictBroker) -> None:
    ingest = Client(running, running.password("ingest"), running.platform_port)
    ingest.subscribe("#")
    own = [f"linli/v1/{BOX}/{channel}" for channel in ("evt", "tele", "state", "ack", "meta")]
    for number, foreign in enumerate(
        (
            "linli/v1/site-01/gate/gate-1/evt",
            "linli/v1/site-02/edge/box-street/evt",
            f"linli/v1/{BOX}/got",
            f"linli/v1/{BOX}/cmd",
            "linli/probe/linli-ingest-0",
            "tele/plug/SENSOR",
        ),
        start=1,
    ):
        box = Client(running, running.password(BOX))
        box.publish(foreign, qos=0)  # mosquitto may well hang up on it; with QoS 1 it would be said again forever
        box.publish(own[0])
        ingest.wait_times(own[0], number)
        box.close()
    assert set(ingest.heard) == {own[0]}
    box = Client(running, running.password(BOX))
    for topic in own:
        box.publish(topic)
    ingest.wait_heard(own[-1])
    assert set(ingest.heard) == set(own)
    assert ingest.heard[-len(own) :] == own
    box.close()
    ingest.close()


def test_a_device_hears_only_what_is_meant_for_it(running: DistrictBroker) -> None:
    ingest = Client(running, running.password("ingest"), running.platform_port)
    box = Client(running, running.password(BOX))
    simulator = Client(running, running.password("simulator"))
    for wanted in ("#", "linli/v1/#", f"linli/v1/{BOX}/got"):
        box.subscribe(wanted)
    simulator.publish("linli/v1/site-01/gate/gate-1/evt")
    ingest.publish("linli/v1/site-02/edge/box-street/got")
    ingest.publish("linli/probe/linli-ingest-0")
    ingest.publish(f"linli/v1/{BOX}/got")
    assert set(box.wait_heard(f"linli/v1/{BOX}/got")) == {f"linli/v1/{BOX}/got"}
    for client in (ingest, box, simulator):
        client.close()


def test_ingest_connects_with_its_account_over_tls_hears_devices_and_proves_time(running: DistrictBroker) -> None:
    address = broker_address(
        f"mqtts://127.0.0.1:{running.platform_port}", Secret(running.password("ingest")), running.tls()
    )
    signals: list[Signal] = []
    session = MqttSession(address, "linli-ingest-0", ["#"], "linli/probe/linli-ingest-0", signals.extend)
    session.start()
    box = Client(running, running.password(BOX))
    try:
        _until(lambda: any(isinstance(signal, Connected) for signal in signals))
        assert session.publish("linli/probe/linli-ingest-0", b"{}", retain=True)
        box.publish(f"linli/v1/{BOX}/evt")
        _until(lambda: {s.topic for s in signals if isinstance(s, Arrival)} >= {
            "linli/probe/linli-ingest-0", f"linli/v1/{BOX}/evt"
        })  # fmt: skip
        assert not [signal for signal in signals if isinstance(signal, Ended)]
    finally:
        session.stop()
        box.close()


def _until(done: object) -> None:
    assert callable(done)
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    module = secrets_module()
    module.make_secrets(tmp_path)
    before = _files(tmp_path)
    module.make_secrets(tmp_path)
    assert _files(tmp_path) == before
    secret = [path.read_bytes() for path in (tmp_path / "servers").iterdir() if not path.suffix]
    assert len(set(secret)) == len(secret) == 5


def test_who_has_secrets_of_the_version_before_keeps_them(tmp_path: Path) -> None:
    """PostgreSQL and InfluxDB took theirs when they were made, from three folders and with one list of accounts."""
    module = secrets_module()
    module.make_secrets(tmp_path)
    new = {"kafka", "ca.crt", "kafka-password", "postgres.crt", "postgres.key", "kafka.pem", "influxdb.key"}
    for name in ("authority.key", "kafka.key", "postgres.key", "influxdb.key", "kafka.pem", "kafka-password"):
        (tmp_path / "servers" / name).unlink()
    (tmp_path / "linli" / "kafka").unlink()
    certificate = (tmp_path / "linli" / "ca.crt").read_text(encoding="utf-8")
    places = {"servers", "linli", "broker"}
    own = {path: text for path, text in _files(tmp_path).items() if path.parent.name in places}
    own = {path: text for path, text in own.items() if path.name not in new and path.suffix != ".crt"}
    for folder in tmp_path.glob("for-*"):
        shutil.rmtree(folder)
    for name in ("devices", "platform"):
        own.pop(tmp_path / "broker" / name)
        (tmp_path / "broker" / name).unlink()
    module.make_secrets(tmp_path)
    trusted = (tmp_path / "for-ingest" / "ca.crt").read_text(encoding="utf-8")
    assert trusted.startswith(certificate)  # the broker's certificate is of the old one still
    assert trusted.count("BEGIN CERTIFICATE") == 2
    assert {path: text for path, text in _files(tmp_path).items() if path in own} == own
    assert (tmp_path / "for-postgres" / "postgres").read_bytes() == own[tmp_path / "servers" / "postgres"]


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
