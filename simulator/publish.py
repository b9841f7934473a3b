"""Publishes simulated events over MQTT as their devices would: each on its own topic, boxes through a spool.

The one file of the simulator that imports paho. A box's rows count as delivered only when ingest says ``got``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from contracts.errors import ConfigurationError, Transient
from contracts.events import AnyEvent, Lane
from contracts.names import Topic
from simulator.topics import GOT_FILTER, Got, parse_got, payload_of, quality_of

KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 10.0
MAX_INFLIGHT = 500
POLL_S = 0.05
LaneKey = tuple[str, str, Lane]


class Publisher:
    """One MQTT connection that speaks for all simulated devices.

    ``published`` counts messages handed to the client; :meth:`unconfirmed` what the broker or, for a box's rows,
    ingest has not yet confirmed.
    """

    def __init__(self, url: str, client_id: str) -> None:
        self._host, self._port, user, password = _address(url)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        if user is not None:
            self._client.username_pw_set(user, password)
        self._client.max_inflight_messages_set(MAX_INFLIGHT)
        self._client.max_queued_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.message_callback_add(GOT_FILTER, self._on_got)
        self._connected = threading.Event()
        self._moved = threading.Condition()
        self._pruning = threading.Lock()  # main and client thread (after a reconnect) both publish
        self._waiting: deque[mqtt.MQTTMessageInfo] = deque()
        self._rows: dict[LaneKey, deque[tuple[int, Topic, bytes]]] = {}
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
        """Hand one event to the broker; a box's row is kept until ingest has it."""
        payload = payload_of(event)
        if event.spool is not None:
            key = (event.spool.box_id, event.spool.spool_id, event.spool.lane)
            with self._moved:
                self._rows.setdefault(key, deque()).append((event.spool.seq, topic, payload))
        self._publish(topic, payload)
        self.published += 1

    def unconfirmed(self) -> int:
        """Messages that the broker, or boxes' rows that ingest, has not confirmed."""
        self._prune()
        with self._moved:
            return len(self._waiting) + sum(len(rows) for rows in self._rows.values())

    def wait_confirmed(self, timeout_s: float) -> bool:
        """Whether everything sent was confirmed within ``timeout_s``."""
        end_s = time.monotonic() + timeout_s
        while self.unconfirmed() and time.monotonic() < end_s:
            with self._moved:
                self._moved.wait(POLL_S)
        return self.unconfirmed() == 0

    def _prune(self) -> None:
        with self._pruning:
            while self._waiting and self._waiting[0].is_published():
                self._waiting.popleft()

    def _publish(self, topic: Topic, payload: bytes) -> None:
        quality, retain = quality_of(topic)
        info = self._client.publish(str(topic), payload, qos=quality, retain=retain)
        if quality:
            self._waiting.append(info)
            self._prune()

    # --- the client's thread ------------------------------------------------------------------------------------------

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            return
        client.subscribe(GOT_FILTER, qos=1)
        self._connections += 1
        if self._connections > 1:
            self._resend()
        self._connected.set()

    def _resend(self) -> None:
        """After a reconnect every lane is sent again from its first unacknowledged row."""
        with self._moved:
            rows = [row for lane in self._rows.values() for row in lane]
        for _, topic, payload in rows:
            self._publish(topic, payload)

    def _on_got(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        got = parse_got(message.topic, bytes(message.payload))
        if got is not None:
            self._forget(got)

    def _forget(self, got: Got) -> None:
        with self._moved:
            rows = self._rows.get((got.box_id, got.spool_id, got.lane))
            while rows and rows[0][0] <= got.through_seq:
                rows.popleft()
            self._moved.notify_all()


def _address(url: str) -> tuple[str, int, str | None, str | None]:
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise ConfigurationError(f"--mqtt {url!r}: expected mqtt://[user:password@]host[:port]")
    return parts.hostname, parts.port or 1883, parts.username, parts.password


def publish_all(
    publisher: Publisher,
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


def encode_got(got: Got) -> bytes:
    """The payload of an acknowledgement; used by stand-ins for ingest."""
    return msgspec.json.encode({"spool_id": got.spool_id, "lane": got.lane, "through_seq": got.through_seq})
