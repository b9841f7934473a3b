"""Whether a broker is fit for ingest, asked as ingest uses it: takes us in, and keeps what comes while we are away.

What is tried stays on a topic of its own below ``linli/probe`` and in a session of its own, which is removed.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from contracts.errors import ConfigurationError, Transient
from contracts.names import PROBE_ROOT
from ingest.settings import BrokerAddress

ANSWER_S = 10.0
MESSAGES = 1_500
"""More than brokers keep for an absent client by default (mosquitto: 1,000)."""


def kept_while_away(address: BrokerAddress, messages: int = MESSAGES) -> int:
    """How many of ``messages`` that came while a session's client was away the broker had kept for it.

    Raises:
        Transient: the broker does not answer. ConfigurationError: it does not take us.
    """
    name = f"linli-doctor-{secrets.token_hex(4)}"
    topic = f"{PROBE_ROOT}/{name}"
    with _connected(address, name, clean=False) as away:
        away.subscribe(topic)
    try:
        with _connected(address, f"{name}-says", clean=True) as says:
            says.publish(topic, messages)
        with _connected(address, name, clean=False) as back:
            return back.heard(messages)
    finally:
        with _connected(address, name, clean=True):  # ends the session
            pass


class _Client:
    def __init__(self, client: mqtt.Client) -> None:
        self._client = client
        self._changed = threading.Condition()
        self._subscribed, self._heard, self.refused, self.connected = False, 0, "", False
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        if not self.wait(lambda: self._subscribed):
            raise Transient("the broker did not confirm a subscription")

    def publish(self, topic: str, messages: int) -> None:
        sent = [self._client.publish(topic, b"x", qos=1) for _ in range(messages)]
        for info in sent:
            info.wait_for_publish(ANSWER_S)
        if not all(info.is_published() for info in sent):
            raise Transient("the broker did not confirm what was published")

    def heard(self, messages: int) -> int:
        """How many came; no more than ``messages``. They come at once: ends when none has for a while."""
        before = -1
        while before < self._heard < messages:
            before = self._heard
            self.wait(lambda: self._heard >= messages, ANSWER_S / 4)
        return self._heard

    def wait(self, done: object, timeout_s: float = ANSWER_S) -> bool:
        assert callable(done)
        with self._changed:
            return bool(self._changed.wait_for(done, timeout_s))

    def _on_connect(self, _client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _more: object) -> None:
        with self._changed:
            self.connected, self.refused = not code.is_failure, str(code) if code.is_failure else ""
            self._changed.notify_all()

    def _on_subscribe(self, *_told: object) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client: mqtt.Client, _data: object, _message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self._heard += 1
            self._changed.notify_all()


@contextlib.contextmanager
def _connected(address: BrokerAddress, name: str, *, clean: bool) -> Iterator[_Client]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, protocol=mqtt.MQTTv311)
    client.max_inflight_messages_set(200)
    if address.user:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set(ca_certs=address.ca_file or None)
    told = _Client(client)
    where = f"{address.host}:{address.port}"
    try:
        client.connect(address.host, address.port, keepalive=30)
    except OSError as error:
        raise Transient(f"no MQTT broker answers at {where}: {error}") from None
    client.loop_start()
    try:
        if not told.wait(lambda: told.connected or told.refused):
            raise Transient(f"the MQTT broker at {where} did not answer within {ANSWER_S:.0f} s")
        if told.refused:
            raise ConfigurationError(f"the MQTT broker at {where} refuses us: {told.refused}")
        yield told
    finally:
        client.disconnect()
        client.loop_stop()
