"""Nobody takes over, ends or reads another's session at a broker that we ship, whatever client id it asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.secrets import Secret
from ingest.pipeline.pipeline import Arrival
from ingest.session.broker_check import kept_while_away
from ingest.session.session import Connected, Disconnected, Ended, MqttSession, Signal
from ingest.settings import broker_address
from tests.ingest.clients import wait_until
from tests.support.broker import need_mosquitto
from tests.support.district_broker import Deployment, DistrictBroker

T = TypeVar("T", Connected, Disconnected, Ended, Arrival)
INGEST = "linli-ingest-0"
BOX, SIMULATOR = "site-01/edge/box-street", "simulator"
ALARM = "linli/v1/site-01/sensor/smoke-1/evt"
PATIENCE_S = 30.0
WAYS = [
    (MQTTProtocolVersion.MQTTv311, True),
    (MQTTProtocolVersion.MQTTv311, False),
    (MQTTProtocolVersion.MQTTv5, True),
    (MQTTProtocolVersion.MQTTv5, False),
]

pytestmark = [pytest.mark.service, pytest.mark.patient]


@pytest.fixture(scope="module", params=list(Deployment))
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistrictBroker]:
    need_mosquitto()
    broker = DistrictBroker(tmp_path_factory.mktemp("broker"), request.param)
    yield broker
    broker.stop()


class Device:
    """A client of an account's, with a client id that it chose."""

    def __init__(
        self,
        broker: DistrictBroker,
        account: str,
        client_id: str,
        way: tuple[MQTTProtocolVersion, bool] = WAYS[0],
        port: int = 0,
    ) -> None:
        version, clean = way
        self.reason, self.resumed, self.connections, self.heard = "", False, 0, 0
        self._changed = threading.Condition()
        five = version is MQTTProtocolVersion.MQTTv5
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            clean_session=None if five else clean,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(*broker.password(account).strip().split(":", 1))
        self._client.tls_set(ca_certs=broker.ca_file)
        self._client.on_connect, self._client.on_message = self._on_connect, self._on_message
        given: dict[str, Any] = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 3_600
            given = {"clean_start": clean, "properties": properties}
        self._client.connect("127.0.0.1", port or broker.port, **given)
        self._client.loop_start()
        with self._changed:
            assert self._changed.wait_for(lambda: self.reason != "", PATIENCE_S)

    def say(self, topic: str, times: int = 1) -> None:
        """Return once the broker has each."""
        for _ in range(times):
            self._client.publish(topic, b"{}", qos=1).wait_for_publish(PATIENCE_S)

    def listen(self, topic: str) -> None:
        """Return once the broker has the subscription."""
        done = threading.Event()
        self._client.on_subscribe = lambda *_: done.set()
        self._client.subscribe(topic, qos=1)
        assert done.wait(PATIENCE_S)

    def is_there(self) -> bool:
        """Whether the broker still answers on the connection that stood at first."""
        said = self._client.publish(f"linli/v1/{BOX}/evt", b"{}", qos=1)
        said.wait_for_publish(PATIENCE_S)
        return said.is_published() and self.connections == 1

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _c: object, _d: object, flags: mqtt.ConnectFlags, reason: ReasonCode, _p: object) -> None:
        with self._changed:
            self.reason, self.resumed, self.connections = str(reason), flags.session_present, self.connections + 1
            self._changed.notify_all()

    def _on_message(self, _client: object, _data: object, _message: mqtt.MQTTMessage) -> None:
        self.heard += 1


class Ingest:
    """The session of ingest, as its shard has it."""

    def __init__(self, broker: DistrictBroker, port: int = 0) -> None:
        self.signals: list[Signal] = []
        url = f"mqtts://127.0.0.1:{port or broker.platform_port}"
        address = broker_address(url, Secret(broker.password("ingest")), broker.tls())
        self.session = MqttSession(address, INGEST, ["linli/v1/#"], f"linli/probe/{INGEST}", self._on_signals)
        self.session.start()
        assert wait_until(lambda: self.of(Connected) != [], PATIENCE_S)
        assert self.session.publish(f"linli/probe/{INGEST}", b"here", retain=True)
        assert wait_until(lambda: self.heard(f"linli/probe/{INGEST}") > 0, PATIENCE_S)  # it is subscribed

    def heard(self, topic: str) -> int:
        return sum(1 for arrival in self.of(Arrival) if arrival.topic == topic)

    def of(self, kind: type[T]) -> list[T]:
        return [signal for signal in list(self.signals) if isinstance(signal, kind)]

    def _on_signals(self, signals: Sequence[Signal]) -> None:
        for signal in signals:
            if isinstance(signal, Arrival):
                self.session.ack(signal.connection, [signal.mid])
            self.signals.append(signal)


def _say(broker: DistrictBroker, times: int) -> None:
    device = Device(broker, SIMULATOR, "any")
    device.say(ALARM, times)
    device.close()


@pytest.fixture
def ingest(broker: DistrictBroker) -> Iterator[Callable[[], Ingest]]:
    """Ingest, as often as a test starts it; what it left behind is taken at the end."""
    started: list[Ingest] = []

    def start() -> Ingest:
        started.append(Ingest(broker))
        return started[-1]

    yield start
    for one in started:
        one.session.stop()


@pytest.mark.parametrize("account", [BOX, SIMULATOR])
@pytest.mark.parametrize("way", WAYS)
def test_no_account_of_a_device_takes_the_alarms_that_wait_for_ingest(
    broker: DistrictBroker, ingest: Callable[[], Ingest], account: str, way: tuple[MQTTProtocolVersion, bool]
) -> None:
    ingest().session.stop()
    _say(broker, 3)
    thief = Device(broker, account, INGEST, way)
    _say(broker, 2)
    thief.close()
    back = ingest()
    assert wait_until(lambda: back.heard(ALARM) == 5, PATIENCE_S)
    assert [signal.resumed for signal in back.of(Connected)] == [True]
    assert thief.heard == 0


@pytest.mark.parametrize("way", WAYS)
def test_no_account_of_a_device_ends_the_connection_of_ingest(
    broker: DistrictBroker, ingest: Callable[[], Ingest], way: tuple[MQTTProtocolVersion, bool]
) -> None:
    there = ingest()
    for account in (BOX, SIMULATOR):
        Device(broker, account, INGEST, way).close()
    _say(broker, 1)
    assert wait_until(lambda: there.heard(ALARM) == 1, PATIENCE_S)
    assert (there.of(Disconnected), there.of(Ended)) == ([], [])
    assert len(there.of(Connected)) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client_id", [BOX, "linli-box-site-01-box-street", "box-street", "x"])
def test_no_account_takes_the_session_of_another_device(
    broker: DistrictBroker, client_id: str, way: tuple[MQTTProtocolVersion, bool]
) -> None:
    box = Device(broker, BOX, client_id)
    thief = Device(broker, SIMULATOR, client_id, way)
    assert (box.reason, thief.reason) == ("Success", "Success")
    assert box.is_there()
    box.close()
    thief.close()


@pytest.mark.parametrize("way", WAYS)
def test_what_waits_for_a_box_that_is_away_is_nobody_elses(
    broker: DistrictBroker, ingest: Callable[[], Ingest], way: tuple[MQTTProtocolVersion, bool]
) -> None:
    there, kept = ingest(), (MQTTProtocolVersion.MQTTv311, False)
    box = Device(broker, BOX, BOX, kept)
    box.listen(f"linli/v1/{BOX}/got")
    box.close()
    there.session.publish(f"linli/v1/{BOX}/got", b"{}")
    thief = Device(broker, SIMULATOR, BOX, way)
    back = Device(broker, BOX, BOX, kept)
    assert wait_until(lambda: back.heard == 1, PATIENCE_S)
    assert (back.resumed, thief.heard) == (True, 0)
    back.close()
    thief.close()
    Device(broker, BOX, BOX).close()  # and its session goes


def test_accounts_of_one_listener_are_unknown_at_the_other(broker: DistrictBroker) -> None:
    for account, port in ((BOX, broker.platform_port), (SIMULATOR, broker.platform_port), ("ingest", broker.port)):
        stranger = Device(broker, account, INGEST, port=port)
        assert stranger.reason == "Not authorized"
        stranger.close()


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_what_waits_for_ingest_outlives_the_broker_and_goes_on_coming(
    broker: DistrictBroker, ingest: Callable[[], Ingest], *, kill: bool
) -> None:
    """A client that is away is judged by the listener where it was last, which has to outlive the broker too."""
    ingest().session.stop()
    saved = broker.broker
    _say(broker, 4)
    if kill:
        file = Path(broker.settings().rsplit("persistence_location ", 1)[1].split("\n")[0]) / "mosquitto.db"
        before = file.stat().st_mtime_ns if file.exists() else 0
        assert wait_until(lambda: file.exists() and file.stat().st_mtime_ns != before, PATIENCE_S)
    broker.restart(kill=kill)
    assert broker.broker is not saved
    _say(broker, 3)
    back = ingest()
    assert wait_until(lambda: back.heard(ALARM) == 7, PATIENCE_S)


def test_the_doctor_finds_that_it_keeps_what_comes_and_ingest_stays_connected(
    broker: DistrictBroker, ingest: Callable[[], Ingest]
) -> None:
    there = ingest()
    url = f"mqtts://127.0.0.1:{broker.platform_port}"
    address = broker_address(url, Secret(broker.password("ingest")), broker.tls())
    assert kept_while_away(address, 1_100) == 1_100
    assert (there.of(Disconnected), there.of(Ended)) == ([], [])


def test_a_session_from_when_there_was_one_listener_loses_nothing(tmp_path: Path) -> None:
    """Ingest was on the listener for devices; the new settings come while it is away, and it comes back on its own."""
    need_mosquitto()
    broker = _OneListener(tmp_path)
    Ingest(broker, broker.port).session.stop()
    _say(broker, 2)
    broker.one = False
    broker.restart()
    _say(broker, 2)
    back = Ingest(broker)
    try:
        assert wait_until(lambda: back.heard(ALARM) == 4, PATIENCE_S)
    finally:
        back.session.stop()
        broker.stop()


class _OneListener(DistrictBroker):
    """The settings of the version before, with the same accounts, until ``one`` is False."""

    one = True

    def settings(self) -> str:
        text = super().settings()
        if not self.one:
            return text
        here = self.secrets / "for-broker"
        accounts, rights = self.secrets / "accounts", self.secrets / "accounts.acl"
        accounts.write_text("".join((here / name).read_text() for name in ("devices", "platform")), encoding="utf-8")
        folder = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
        rights.write_text("".join((folder / name).read_text() for name in ("devices.acl", "platform.acl")))
        ours, _, rest = text.partition("per_listener_settings true")
        certificate = f"certfile {here}/broker.crt\nkeyfile {here}/broker.key\n"
        only = f"listener {self.port} 127.0.0.1\n{certificate}allow_anonymous false\n"
        files = f"password_file {accounts}\nacl_file {rights}\n"
        return ours + only + files + "persistence_location " + rest.rsplit("persistence_location ", 1)[1]
