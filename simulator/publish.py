"""Publishes simulated events over MQTT as their devices would: each on its own topic, boxes through a spool.

The one file of the simulator that imports paho. A box's rows count as delivered only when ingest says ``got``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from contracts.errors import ConfigurationError, Transient
from contracts.events import AnyEvent
from contracts.names import Topic
from simulator.lanes import UnackedRows
from simulator.topics import GOT_FILTER, parse_spool_ack, payload_of, quality_of

KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 10.0
MAX_INFLIGHT = 500
MAX_OPEN = 10_000
"""Messages without a PUBACK: paho numbers them modulo 65,536 and silently drops one whose number is still in use."""
POLL_S = 0.05
RESEND_S = 3.0
"""A lane whose answer stays out this long is sent again."""


class EventPublisher:
    """One MQTT connection that speaks for all simulated devices.

    ``password`` (``user:password``) wins over the URL's; ``ca_file`` holds the certificates of a private authority.

    ``published`` counts messages handed to the client; :meth:`unconfirmed` what the broker or, for a box's rows,
    ingest has not yet confirmed.
    """

    def __init__(self, url: str, client_id: str, *, password: str = "", ca_file: str = "") -> None:
        self._host, self._port, user, secret = _address(url)
        if password:
            user, _, secret = password.strip().partition(":")
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        if user is not None:
            self._client.username_pw_set(user, secret)
        if url.startswith("mqtts:"):
            self._client.tls_set(ca_certs=ca_file or None)
        self._client.max_inflight_messages_set(MAX_INFLIGHT)
        self._client.max_queued_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.message_callback_add(GOT_FILTER, self._on_got)
        self._connected = threading.Event()
        self._moved = threading.Condition()
        self._pruning = threading.Lock()  # main and client thread (after a reconnect) both publish
        self._waiting: deque[mqtt.MQTTMessageInfo] = deque()
        self._held = UnackedRows()
        self._connections = 0
        self.published = 0

    def start(self) -> None:
        """Connect.

        Raises:
            Transient: when the broker does not answer within ten seconds.
        """
        try:
            self._client.connect(self._host, self._port, KEEPALIVE_S)
        except OSError as error:
            raise Transient(f"no MQTT broker at {self._host}:{self._port}: {error}") from error
        self._client.loop_start()
        if not self._connected.wait(CONNECT_TIMEOUT_S):
            self.stop()
            raise Transient(f"the MQTT broker at {self._host}:{self._port} did not accept us in {CONNECT_TIMEOUT_S} s")

    def stop(self) -> None:
        """Disconnect and end the client's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, topic: Topic, event: AnyEvent) -> None:
        """Hand one event to the broker; a box's row is kept until ingest has it. Waits while too much is open."""
        while len(self._waiting) > MAX_OPEN:
            time.sleep(POLL_S)  # paho's thread confirms messages and wakes nobody
            self._prune()
        if event.spool is not None:
            with self._moved:
                event = self._held.hold(topic, event, time.monotonic())
        self._publish(topic, event)
        self.published += 1
        self._resend(RESEND_S)

    def unconfirmed(self) -> int:
        """Return messages that the broker, or boxes' rows that ingest, has not confirmed."""
        self._prune()
        with self._moved:
            return len(self._waiting) + len(self._held)

    def wait_confirmed(self, timeout_s: float) -> bool:
        """Return whether everything sent was confirmed within ``timeout_s``."""
        end_s = time.monotonic() + timeout_s
        while self.unconfirmed() and time.monotonic() < end_s:
            self._resend(RESEND_S)
            with self._moved:
                self._moved.wait(POLL_S)
        return self.unconfirmed() == 0

    def _prune(self) -> None:
        with self._pruning:
            while self._waiting and self._waiting[0].is_published():
                self._waiting.popleft()

    def _publish(self, topic: Topic, event: AnyEvent) -> None:
        quality, retain = quality_of(topic)
        info = self._client.publish(str(topic), payload_of(event), qos=quality, retain=retain)
        if quality:
            if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN:
                info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # kept by paho until it is connected again
            self._waiting.append(info)
            self._prune()

    def _resend(self, waited_s: float) -> None:
        with self._moved:
            rows = self._held.again(time.monotonic(), waited_s)
        for topic, event in rows:
            self._publish(topic, event)

    # --- the client's thread ------------------------------------------------------------------------------------------

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            return
        client.subscribe(GOT_FILTER, qos=1)
        self._connections += 1
        if self._connections > 1:
            self._resend(0.0)  # on every reconnect a lane is sent again from its first unacknowledged row
        self._connected.set()

    def _on_got(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        got = parse_spool_ack(message.topic, bytes(message.payload))
        if got is not None:
            with self._moved:
                self._held.forget(got, time.monotonic())
                self._moved.notify_all()


def _address(url: str) -> tuple[str, int, str | None, str | None]:
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise ConfigurationError(f"--mqtt {url!r}: expected mqtt://[user:password@]host[:port], or mqtts://")
    default = 8883 if parts.scheme == "mqtts" else 1883
    return parts.hostname, parts.port or default, parts.username, parts.password


def publish_all(
    publisher: EventPublisher,
    timed: Iterable[tuple[float, Topic, AnyEvent]],
    *,
    stop: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Send each event when it is due (seconds from now) until the stream ends or ``stop()``; returns how many."""
    began, sent = clock(), 0
    for due_s, topic, event in timed:
        while (wait_s := due_s - (clock() - began)) > 0 and not stop():
            sleep(min(wait_s, 0.2))
        if stop():
            break
        publisher.send(topic, event)
        sent += 1
    return sent
