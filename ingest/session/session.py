"""The broker session of a shard: persistent, acknowledged by hand, one subscription of QoS 1 per site (or all).

With ``client.py``, which reads faster than paho does, the one file of ingest that imports paho. It decides
nothing: what happens is handed over as signals, in order.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import paho.mqtt.client as mqtt
import stamina
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from contracts.errors import ConfigurationError, Transient
from contracts.events.identity import IN_FLIGHT
from ingest.pipeline.pipeline import Arrival
from ingest.session.client import MqttClient, MqttMessage
from ingest.session.protocol_version import speaks_version_5
from ingest.settings import BrokerAddress
from system.tls import trouble_with

KEEPALIVE_S = 15
SESSION_EXPIRY_S = 14 * 86_400
"""Longer than anyone leaves a shard switched off; the broker forgets the session of a shard that never comes back."""
MAX_OUTGOING = 1_000
FORGET_S = 10.0
_TAKEN_OVER = 0x8E
_SEND_IF_NEW = 1

_log = structlog.get_logger("ingest.session.session")


class Connected(msgspec.Struct, frozen=True):
    """The session stands; connections are numbered from 1. ``resumed``: the broker had kept it."""

    connection: int
    resumed: bool


class Disconnected(msgspec.Struct, frozen=True):
    """The connection is gone; another will be tried."""

    reason: str


class Ended(msgspec.Struct, frozen=True):
    """The session cannot go on: another process took it over, or the broker refuses us."""

    reason: str
    configuration: bool


Signal = Arrival | Connected | Disconnected | Ended


class MqttSession:
    """One persistent session.

    Args:
        address: of the broker.
        client_id: the name of the session; the broker gives it to whoever came last.
        filters: the subscriptions; may be exchanged with :meth:`subscribe`.
        own_topic: subscribed too, and its retained message is asked for on every connection.
        on_signals: called in the network thread, in order; it may wait, and the broker is then slowed down by TCP.
        protocol: ``auto``, ``5`` or ``3.1.1``.

    Raises:
        ConfigurationError: a file of TLS cannot be used.
    """

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        filters: Sequence[str],
        own_topic: str,
        on_signals: Callable[[Sequence[Signal]], None],
        protocol: str = "auto",
    ) -> None:
        self._address, self._client_id, self._filters = address, client_id, tuple(filters)
        self._tls = address.tls_context()
        self._own_topic = own_topic
        self._on_signals, self._protocol = on_signals, protocol
        self._lock = threading.Lock()
        self._connections = 0
        self._current = 0
        self._version_5 = False
        self._client: MqttClient | None = None
        self._stopping = threading.Event()
        self._starter = threading.Thread(target=self._start, name="linli-mqtt-start", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._starter.start()

    def stop(self) -> None:
        """Disconnect (the broker keeps the session) and end the network thread."""
        self._stopping.set()
        self._starter.join()
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def ack(self, connection: int, mids: Sequence[int]) -> None:
        """Send PUBACKs; those of a connection that is gone are void, since the broker numbers anew."""
        with self._lock:
            if connection == self._current and self._client is not None:
                self._client.acknowledge(mids)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message of QoS 1 to the broker; False while disconnected, and then it is not kept."""
        with self._lock:
            if not self._current or self._client is None:
                return False
            self._client.publish(topic, payload, qos=1, retain=retain)
            return True

    def subscribe(self, filters: Sequence[str]) -> None:
        """Listen to ``filters`` from now on; those subscribed before stay until the session ends."""
        with self._lock:
            new = [f for f in filters if f not in self._filters]
            self._filters = tuple(filters)
            if new and self._current and self._client is not None:
                self._subscribe(self._client, new)

    def reset(self) -> None:
        """Hang up and connect again: nothing comes over this connection any more."""
        with self._lock:
            connection = self._client.socket() if self._client is not None else None
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):  # it went by itself
                connection.shutdown(socket.SHUT_RDWR)

    # --- the starter and the network thread ---------------------------------------------------------------------------

    def _start(self) -> None:
        try:
            self._version_5 = self._choose_version()
            client = self._make_client()
            with self._lock:
                self._client = client
            client.loop_start()
        except _Stopped:
            return
        except Exception as error:  # noqa: BLE001 - the boundary of a thread: the session ends with it
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Say that a thread of the session ended: without it nothing would ever be heard again."""
        kind = f"{type(error).__name__}: {error}"
        self._on_signal(Ended(f"the session with the broker failed ({kind}); start it again", configuration=False))

    def _choose_version(self) -> bool:
        if self._protocol != "auto":
            return self._protocol == "5"
        for attempt in stamina.retry_context(on=OSError, attempts=None, timeout=None, wait_initial=0.2, wait_max=3.0):
            with attempt:
                if self._stopping.is_set():
                    raise _Stopped
                try:
                    return speaks_version_5(self._address)
                except OSError as error:
                    _log.warning("no broker answers", broker=self._where(), error=self._address.said_of(error))
                    raise
        raise _Stopped

    def _make_client(self) -> MqttClient:
        protocol = MQTTProtocolVersion.MQTTv5 if self._version_5 else MQTTProtocolVersion.MQTTv311
        client = MqttClient(
            CallbackAPIVersion.VERSION2,
            on_messages=self._on_messages,
            on_failure=self._failed,
            client_id=self._client_id,
            clean_session=None if self._version_5 else False,
            protocol=protocol,
            manual_ack=True,
        )
        client.max_inflight_messages_set(MAX_OUTGOING)
        client.reconnect_delay_set(1, 4)
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password.reveal())
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        properties = None
        if self._version_5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = IN_FLIGHT  # what comes without an answer comes again; more is not remembered
        client.connect_async(
            self._address.host, self._address.port, KEEPALIVE_S, clean_start=False, properties=properties
        )
        return client

    def _on_connect(
        self,
        client: mqtt.Client,
        _data: object,
        flags: mqtt.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            if self._connections == 0:
                remedy = "correct mqtt.password_file, and the broker's accounts"
                self._on_signal(
                    Ended(f"the broker at {self._where()} refuses us: {code}; {remedy}", configuration=True)
                )
            _log.warning("broker refuses the connection", reason=str(code))
            return
        with self._lock:
            self._connections += 1
            self._current = self._connections
            self._subscribe(client, (*self._filters, self._own_topic))
        self._on_signal(Connected(self._current, bool(flags.session_present)))

    def _on_connect_fail(self, _client: mqtt.Client, _data: object) -> None:
        """Say what is wrong with the broker's certificate; that it is away was said."""
        address = self._address
        trouble = trouble_with(address.host, address.port, address.tls) if address.tls is not None else ""
        if trouble:
            _log.warning("no broker answers", broker=self._where(), error=trouble)

    def _on_disconnect(
        self,
        client: mqtt.Client,
        _data: object,
        _flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._lock:
            was, self._current = self._current, 0
        if self._stopping.is_set():
            return
        if self._version_5 and code.value == _TAKEN_OVER:
            client.disconnect()  # or the two owners kick each other forever
            self._on_signal(Ended(f"another process connected as {self._client_id!r}", configuration=False))
        elif was:
            self._on_signal(Disconnected(wrong_with(client) or str(code)))
        elif wrong := wrong_with(client):
            _log.warning("no broker answers", broker=self._where(), error=wrong)

    def _on_messages(self, messages: Sequence[MqttMessage]) -> None:
        connection = self._current
        self._on_signals(
            [Arrival(m.topic.decode(errors="replace"), m.payload, m.qos, m.mid, m.retain, connection) for m in messages]
        )

    def _on_signal(self, signal: Signal) -> None:
        self._on_signals((signal,))

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        if refused:
            self._on_signal(
                Ended(
                    f"the broker at {self._where()} refuses a subscription of {', '.join(self._filters)}: "
                    f"{', '.join(refused)}; allow {self._client_id!r} to read them",
                    configuration=True,
                )
            )

    def _subscribe(self, client: mqtt.Client, filters: Sequence[str]) -> None:
        if self._version_5:
            once = SubscribeOptions(qos=1, retainHandling=_SEND_IF_NEW)
            always = SubscribeOptions(qos=1)
            client.subscribe([(f, always if f == self._own_topic else once) for f in filters])
        else:
            client.subscribe([(f, 1) for f in filters])

    def _where(self) -> str:
        return f"{self._address.host}:{self._address.port}"


def wrong_with(client: mqtt.Client) -> str:
    """Return in words what is wrong with what a client of ours was sent; empty when all of it was MQTT."""
    return client.wrong if isinstance(client, MqttClient) else ""


class _Stopped(Exception):  # noqa: N818 - not an error
    """The session was stopped before it ever connected."""


def _pass(_what: object) -> None:
    """Pass over what comes: nobody asked for it, and no thread is there to fail."""


def _no_delay(_client: mqtt.Client, _data: object, sock: object) -> None:
    """Turn Nagle's delay off: acknowledgements are small and must not wait for each other."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def forget_session(address: BrokerAddress, client_id: str) -> None:
    """Have the broker drop the session of ``client_id``, and with it what it holds for it.

    Raises:
        Transient: the broker does not answer. ConfigurationError: it refuses us.
    """
    client = MqttClient(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True, on_messages=_pass, on_failure=_pass
    )
    answers: list[ReasonCode] = []
    client.on_connect = lambda _client, _data, _flags, code, _properties: answers.append(code)
    if address.user:
        client.username_pw_set(address.user, address.password.reveal())
    tls = address.tls_context()
    if tls is not None:
        client.tls_set_context(tls)
    try:
        client.connect(address.host, address.port, KEEPALIVE_S)
        end_s = time.monotonic() + FORGET_S
        while not answers and time.monotonic() < end_s and not client.loop(0.1):
            pass
    except OSError as error:
        raise Transient(
            f"the broker at {address.host}:{address.port} does not answer: {address.said_of(error)}"
        ) from error
    finally:
        client.disconnect()
    if not answers:
        why = client.wrong or f"it does not answer within {FORGET_S:.0f} s, or hangs up"
        raise Transient(f"no broker answers at {address.host}:{address.port}: {why}")
    if answers[0].is_failure:
        raise ConfigurationError(f"the broker at {address.host}:{address.port} refuses us: {answers[0]}")
