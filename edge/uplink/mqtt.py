"""One connection of the box to its broker. The only file of the box that imports paho.

paho keeps what it sent in memory and sends it again by itself after a reconnect, behind or before what the spool sends:
so every connection is a new client, and the spool alone decides what is sent again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from contracts.errors import ConfigurationError, Transient
from contracts.written_text import decode_written
from edge.capture.address import redact_url
from system.certificates import said_of
from system.tls import TlsFileError, TlsFiles, client_context

KEEPALIVE_S = 15
CONNECT_TIMEOUT_S = 8.0
INFLIGHT_MESSAGES = 256  # above both windows of the spool: paho must not hold a queue of its own
_FILES = ("ca_file", "cert_file", "key_file")
_UNREADABLE = (MQTTException, OSError, ValueError, LookupError, struct.error)
"""What paho raises over bytes that are no MQTT, by its version; OSError where a packet has it connect anew."""
DEFAULT_PORT = {"mqtt": 1883, "mqtts": 8883}


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[mqtt]``: ``password_file`` holds ``user:password``, ``ca_file`` the authority of an ``mqtts`` broker.

    ``cert_file`` and ``key_file``: what it is shown of the box, where it asks for a certificate.
    """

    url: str = "mqtt://127.0.0.1:1883"
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def tls(self) -> TlsFiles:
        """Return the files of TLS, as ``[mqtt]`` names them."""
        named = {field: Path(text) for field in _FILES if (text := getattr(self, field))}
        return TlsFiles(table="[mqtt] ", **named)


class BrokerConnection:
    """One life of a connection, driven by its owner's thread through ``loop``; when it is down, make another.

    Args:
        on_message: called inside ``loop`` with each payload on ``topic``, once paho is done with what it read.
    """

    def __init__(self, config: BrokerConfig, client_id: str, topic: str, on_message: Callable[[bytes], None]) -> None:
        self._topic, self._on_message = topic, on_message
        self._subscribed, self._refused = False, ""
        self._came: list[bytes] = []
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        client.max_inflight_messages_set(INFLIGHT_MESSAGES)
        client.connect_timeout = CONNECT_TIMEOUT_S
        _authenticate(client, config)
        client.on_connect, client.on_subscribe, client.on_message = self._connected, self._subscribed_to, self._received
        self._client = client
        self._open(config)

    @property
    def ready(self) -> bool:
        """Whether the broker accepted us and our subscription, so that no acknowledgement can be missed."""
        return self._subscribed

    def loop(self, timeout_s: float) -> None:
        """Read and write for up to ``timeout_s``.

        Raises:
            Transient: when the connection is down or was refused.
        """
        code = self._read(timeout_s)
        came, self._came = self._came, []
        for payload in came:
            self._on_message(payload)
        if self._refused:
            raise Transient(f"the broker refused: {self._refused}")
        if code == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            raise Transient("what answers speaks no MQTT")
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Transient(f"connection lost: {paho.error_string(code)}")

    def publish(self, topic: str, payload: bytes) -> None:
        """Send at QoS 1. Durable nowhere yet: only the platform's own acknowledgement counts.

        Raises:
            Transient: when the connection is down.
        """
        code = self._client.publish(topic, payload, qos=1).rc
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Transient(f"publishing failed: {paho.error_string(code)}")

    def close(self) -> None:
        """Say goodbye, if anybody listens."""
        self._client.disconnect()
        with suppress(Transient):  # it has been said
            self._read(0.05)
        if (still := self._client.socket()) is not None:
            still.close()  # paho leaves it open when it cannot read what comes

    def _read(self, timeout_s: float) -> MQTTErrorCode:
        """Let paho read and write; what its own code cannot read is the other side's doing."""
        try:
            return self._client.loop(timeout=timeout_s)
        except _UNREADABLE as error:
            raise Transient(f"what answers speaks no MQTT: {error}") from None

    def _open(self, config: BrokerConfig) -> None:
        host, port = broker_address(config.url)
        try:
            self._client.connect(host, port, keepalive=KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise Transient(f"no broker at {host}:{port}: {said_of(error, '[mqtt] ca_file') or error}") from None

    def _connected(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
        else:
            client.subscribe(self._topic, qos=1)

    def _subscribed_to(
        self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refused = f"subscription to {self._topic}: {reasons[0]}"
        else:
            self._subscribed = True

    def _received(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self._came.append(bytes(message.payload))


def broker_address(url: str) -> tuple[str, int]:
    """Return host and port of ``mqtt://`` or ``mqtts://``.

    Raises:
        ConfigurationError: when it is neither.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in DEFAULT_PORT or not parts.hostname or port == -1:
        raise ConfigurationError(f"[mqtt] url = {redact_url(url)!r}: expected mqtt://host:port or mqtts://host:port")
    return parts.hostname, port or DEFAULT_PORT[parts.scheme]


def _authenticate(client: paho.Client, config: BrokerConfig) -> None:
    if urlsplit(config.url).scheme == "mqtts":
        try:
            client.tls_set_context(client_context(config.tls()))
        except TlsFileError as error:
            raise ConfigurationError(str(error)) from None
    named = read_password(config)
    if named is not None:
        client.username_pw_set(*named)


def read_password(config: BrokerConfig) -> tuple[str, str] | None:
    """Return user and password; None when no file of them is named.

    Raises:
        ConfigurationError: the file cannot be read, or is not one line user:password.
    """
    if not config.password_file:
        return None
    try:
        text = decode_written(Path(config.password_file).read_bytes(), f"[mqtt] password_file {config.password_file}")
    except OSError as error:
        raise ConfigurationError(f"[mqtt] password_file {config.password_file}: {error.strerror}") from None
    user, separator, password = text.strip().partition(":")
    if not separator:
        raise ConfigurationError(f"[mqtt] password_file {config.password_file}: expected one line user:password")
    return user, password
