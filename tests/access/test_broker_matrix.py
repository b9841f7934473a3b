"""Every topic × account at a real mosquitto with the shipped access list: denied or allowed as the tables say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from contracts.names import Channel
from tests.access.tables import CHANNELS, DEVICES, NOBODY, OTHER_INGEST, OTHER_TOPICS, PLATFORM, PROBE, SYSTEM, MayDo
from tests.support.broker import need_mosquitto
from tests.support.district_broker import DEPLOY, DistrictBroker

pytestmark = [pytest.mark.service, pytest.mark.patient]

ALL_SEEING = "all-seeing"
MORE = f"\nuser {ALL_SEEING}\ntopic readwrite #\n"
"""An account of the test: it says what nobody else may, and hears whether it was passed on."""
END = "linli/v1/end"
PATIENCE_S = 60.0
TOPICS = [f"linli/v1/{device}/{channel}" for device in DEVICES for channel in Channel] + list(OTHER_TOPICS)
SAID = [topic for topic in TOPICS if topic != SYSTEM]
"""Nobody says what the broker says of itself: it hangs up on who tries."""
ACCOUNTS = [account for account in CHANNELS if account != NOBODY]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistrictBroker]:
    need_mosquitto()
    folder = tmp_path_factory.mktemp("broker")
    running = DistrictBroker(folder, accounts=(*DEVICES, OTHER_INGEST, ALL_SEEING), more_rights=MORE)
    yield running
    running.stop()


class _Client:
    """A plain client."""

    def __init__(self, running: DistrictBroker, account: str, password: str | None = None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answered: set[int] = set()
        self.connected = ""
        self.subscribed = 0
        self.hung_up = False
        self._changed = threading.Condition()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
        if account:
            name, _, secret = running.password(account).strip().partition(":")
            self._mqtt.username_pw_set(name, secret if password is None else password)
        self._mqtt.tls_set(ca_certs=running.ca_file)
        self._mqtt.on_connect = lambda _c, _d, _f, reason, _p: self._note(connected=str(reason))
        self._mqtt.on_disconnect = lambda *_: self._note(hung_up=True)
        self._mqtt.on_subscribe = lambda *_: self._note(subscribed=self.subscribed + 1)
        self._mqtt.on_message = lambda _c, _d, message: self._take(message)
        self._mqtt.on_publish = lambda _c, _d, mid, reason, _p: self._answer(mid, reason)
        self._mqtt.connect("127.0.0.1", running.platform_port if account in PLATFORM else running.port)
        self._mqtt.loop_start()
        self.until(lambda: self.connected != "")

    def hear(self, *topics: str) -> None:
        for topic in topics:
            self._mqtt.subscribe(topic, qos=1)
        self.until(lambda: self.subscribed == len(topics))

    def say(self, topics: Iterable[str], payload: bytes, last: str) -> None:
        """Say it on each, and ``end`` on ``last``; until the broker has taken all, or has hung up on who tried."""
        for topic in topics:
            self._mqtt.publish(topic, payload, qos=0)
        mid = self._mqtt.publish(last, b"end", qos=1).mid
        self.until(lambda: mid in self.answered or self.hung_up)

    def until(self, done: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(done, PATIENCE_S)

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def _note(self, **what: object) -> None:
        with self._changed:
            for name, value in what.items():
                setattr(self, name, value)
            self._changed.notify_all()

    def _take(self, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.heard.append((message.topic, bytes(message.payload)))
            self._changed.notify_all()

    def _answer(self, mid: int, reason: ReasonCode) -> None:
        with self._changed:
            assert not reason.is_failure, "the last word is one that may be said"
            self.answered.add(mid)
            self._changed.notify_all()


def _may(account: str, word: str) -> set[str]:
    """The topics on which the tables let the account say or hear something."""
    found = {topic for topic, may in OTHER_TOPICS.items() if word in may.get(account, "")}
    for device, may in CHANNELS[account].items():
        channels = may.says if word == "says" else may.hears
        found |= {f"linli/v1/{device}/{channel}" for channel in channels}
    return found


@pytest.fixture
def all_seeing(running: DistrictBroker) -> Iterator[_Client]:
    client = _Client(running, ALL_SEEING)
    yield client
    client.close()


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_says_what_the_table_allows_and_nothing_else(
    running: DistrictBroker, all_seeing: _Client, account: str
) -> None:
    all_seeing.hear("#")
    own = min(_may(account, "says"))
    for topic in SAID:
        client = _Client(running, account)
        client.say([topic], b"{}", last=own)
        client.close()
    all_seeing.say([], b"", last=END)
    all_seeing.until(lambda: (END, b"end") in all_seeing.heard)
    assert {topic for topic, payload in all_seeing.heard if payload == b"{}"} == _may(account, "says")


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_hears_what_the_table_allows_whatever_it_subscribes_to(
    running: DistrictBroker, all_seeing: _Client, account: str
) -> None:
    client, may = _Client(running, account), _may(account, "hears")
    client.hear("#", "+/#", "linli/v1/+/+/+/+", "$SYS/#", *TOPICS)
    all_seeing.say(SAID, b"{}", last=END)
    all_seeing.say([], b"", last=max(may) if may else END)  # by then everything before it was given
    client.until(lambda: not may or (max(may), b"end") in client.heard)
    assert {topic for topic, payload in client.heard if payload == b"{}"} == may
    client.close()


def test_nobody_gets_in_without_an_account(running: DistrictBroker) -> None:
    assert CHANNELS[NOBODY] == {} and not any(NOBODY in may for may in OTHER_TOPICS.values())
    refused = [_Client(running, NOBODY), *(_Client(running, account, "wrong") for account in ACCOUNTS)]
    assert {client.connected for client in refused} == {"Not authorized"}
    for client in refused:
        client.close()


def test_the_tables_name_every_account_that_is_made_and_every_device_of_the_topics() -> None:
    listed = {account for account in ACCOUNTS if account not in DEVICES}
    shipped = {line.split()[1] for line in _acl() if line.startswith("user ")}
    assert shipped == listed, "tests/access/tables.py: an account of deploy/mosquitto/*.acl has no line"
    assert all(set(may) <= set(DEVICES) for may in CHANNELS.values())
    assert PROBE in OTHER_TOPICS
    assert all(isinstance(each, MayDo) for may in CHANNELS.values() for each in may.values())


def _acl() -> list[str]:
    files = [DEPLOY / "mosquitto" / name for name in ("devices.acl", "platform.acl")]
    return [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
