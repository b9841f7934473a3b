"""MQTT clients as the community has them: plain devices, and a box with a spool that keeps what has no ``got``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from contracts.events import AnyEvent, DeviceStateChanged, PowerSampled
from contracts.names import DeviceClass
from system.clock import wall_ms
from tests.ingest.builders import row, wire

PATIENCE_S = 60.0
"""How long a test waits for what must come; it goes on as soon as it has come. Only a failure takes so long."""
CLASSES = {"g": DeviceClass.GATE, "m": DeviceClass.METER, "s": DeviceClass.SENSOR, "b": DeviceClass.EDGE}


def topic_of(event: AnyEvent) -> str:
    """The topic its device publishes on; device ids begin with their class's letter."""
    channel = "tele" if isinstance(event, PowerSampled) else "state" if isinstance(event, DeviceStateChanged) else "evt"
    return f"linli/v1/{event.site_id}/{CLASSES[event.source_id[0]]}/{event.source_id}/{channel}"


class Devices:
    """One connection that publishes for many devices, QoS 1, and waits for the broker's PUBACK when asked."""

    def __init__(self, port: int) -> None:
        self._ids: dict[int, str] = {}
        self._had_ms: dict[int, int] = {}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.max_inflight_messages_set(1_000)
        self.client.on_publish = self._on_publish
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self._sent: list[mqtt.MQTTMessageInfo] = []

    def __enter__(self) -> Devices:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def say(self, event: AnyEvent, qos: int = 1) -> None:
        """Publish one event on its own topic."""
        self._ids[self.send(topic_of(event), wire(event), qos)] = event.event_id

    def send(self, topic: str, payload: bytes, qos: int = 1) -> int:
        """Publish anything; its number."""
        self._sent.append(self.client.publish(topic, payload, qos=qos))
        return self._sent[-1].mid

    def had_ms(self) -> dict[str, int]:
        """When the broker had each event that was said, at the latest, by id: its PUBACK had come by then."""
        return {self._ids[mid]: ms for mid, ms in dict(self._had_ms).items() if mid in self._ids}

    def _on_publish(self, _client: mqtt.Client, _data: object, mid: int, _code: ReasonCode, _more: object) -> None:
        self._had_ms[mid] = wall_ms()

    def confirmed(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait for the broker's PUBACK of everything sent."""
        for info in self._sent:
            info.wait_for_publish(timeout_s)
        self._sent.clear()


class Box:
    """Box b1 with camera c1: rows in order, a window of 200, resent on reconnect and after 2 s without progress.

    Args:
        port: of the broker, which may come and go.
        rows: how many rows it has to tell.
        every_s: pause between new rows.
    """

    WINDOW = 200

    def __init__(self, port: int, rows: int, every_s: float = 0.0) -> None:
        self.through = 0
        self.connections = 0
        self._rows, self._sent, self._every_s = rows, 0, every_s
        self._progress_s = time.monotonic()
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="b1", clean_session=True)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_got
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_done(self) -> bool:
        """Whether every row was acknowledged in time."""
        return wait_until(lambda: self.through >= self._rows)

    def close(self) -> None:
        """Hang up."""
        self._stop.set()
        self._thread.join()
        self.client.disconnect()
        self.client.loop_stop()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s or 0.005):
            with self._lock:
                if time.monotonic() - self._progress_s > 2.0:
                    self._sent, self._progress_s = self.through, time.monotonic()
                if self.client.is_connected():
                    for _ in range(1 if self._every_s else self.WINDOW):
                        self._send_next()

    def _send_next(self) -> None:
        if self._sent < min(self.through + self.WINDOW, self._rows):
            self._sent += 1
            event = row(self._sent, first=self.through + 1, at_ms=wall_ms())
            self.client.publish("linli/v1/s1/edge/b1/evt", wire(event), qos=1)

    def _on_connect(self, client: mqtt.Client, _d: object, _f: object, code: ReasonCode, _p: object) -> None:
        if not code.is_failure:
            with self._lock:
                client.subscribe("linli/v1/s1/edge/b1/got", qos=1)
                self.connections += 1
                self._sent = self.through

    def _on_got(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic != "linli/v1/s1/edge/b1/got":
            return  # amqtt sends retained messages that nobody asked for
        said = msgspec.json.decode(message.payload)
        with self._lock:
            if said["spool_id"] == "sp1" and said["through_seq"] > self.through:
                self.through, self._progress_s = said["through_seq"], time.monotonic()
                self._sent = max(self._sent, self.through)


class Listener:
    """A client that collects (topic, payload); ``manual`` ones never acknowledge."""

    def __init__(
        self, port: int, filters: str, client_id: str = "", *, clean: bool = True, manual: bool = False, qos: int = 1
    ) -> None:
        self.heard: deque[tuple[str, bytes]] = deque()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, manual_ack=manual
        )
        self.client.on_message = self._hear
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(filters, qos=qos)
        assert ready.wait(PATIENCE_S)

    def close(self) -> None:
        """Hang up."""
        self.client.disconnect()
        self.client.loop_stop()

    def _hear(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if not message.topic.startswith("linli/probe/"):  # amqtt sends retained messages that nobody asked for
            self.heard.append((message.topic, bytes(message.payload)))


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
    """Look every 20 ms; whether it came true."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
