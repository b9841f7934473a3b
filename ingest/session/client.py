"""paho's client with a frugal way in and out, for one session that takes thousands of messages a second.

paho reads a packet byte by byte, waits for the socket before each, and sends every PUBACK by itself: some six calls
into the kernel a message, each of which hands Python's lock to another thread. Here whatever has come is read at once,
taken apart, and handed over as one list, at most every 10 ms while there is much; PUBACKs go out together. All else
(connecting, keeping alive, subscribing, publishing) is paho's own. It leans on paho's inner methods, so
``tests/ingest/session/test_client.py`` holds it to their behaviour.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt import MQTTException
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

READ_BYTES = 256 * 1024
GATHER_S = 0.01
"""From one read to the next, at least: by then a busy broker has sent more, and what is read together costs less."""
_PUBLISH, _PUBACK = 0x30, 0x40
_MAX_LENGTH_BYTES = 4
_UNREADABLE = (MQTTException, OSError, ValueError, LookupError, struct.error)
"""What paho raises over a packet that makes no sense, by its version; OSError where the packet has it connect anew."""


class MqttMessage(msgspec.Struct, frozen=True, gc=False):
    """One PUBLISH as it came. ``mid`` is 0 for QoS 0; ``topic`` is as the broker sent it."""

    topic: bytes
    payload: bytes
    qos: int
    mid: int
    retain: bool


class MalformedError(Exception):
    """The broker sends what is no MQTT."""


class MqttClient(mqtt.Client):
    """A client whose received messages go to ``on_messages``, oldest first, many at a time; never to ``on_message``.

    Args:
        on_failure: called last in the network thread, with what ended it.
    """

    def __init__(
        self,
        *arguments: Any,
        on_messages: Callable[[list[MqttMessage]], None],
        on_failure: Callable[[Exception], None],
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self._on_messages, self._on_failure = on_messages, on_failure
        self.wrong = ""
        """What is wrong with what came over this connection, in words; empty while all of it is MQTT."""
        self._rest = b""
        self._read_s = 0.0

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Send these PUBACKs, in order."""
        packets = b"".join(struct.pack("!BBH", _PUBACK, 2, mid) for mid in mids)
        self._packet_queue(_PUBACK, packets, mids[-1], 1)

    def reconnect(self) -> MQTTErrorCode:
        """Connect anew: the rest of a packet that the old connection left is void."""
        self._rest, self.wrong = b"", ""
        return super().reconnect()

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read what has come and act on every whole packet in it."""
        self._gather()
        data = self._received()
        if data is None:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if not data:
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        with self._msgtime_mutex:
            self._last_bytes_received = mqtt.time_func()
        try:
            code = self._take_packets(self._rest + data)
        except MalformedError as error:
            code, self.wrong = MQTTErrorCode.MQTT_ERR_PROTOCOL, f"what answers speaks no MQTT: {error}"
        return self._loop_rc_handle(code) if code else code

    def _thread_main(self) -> None:
        """Run as paho does; what ends the thread is told, or nobody would miss it."""
        try:
            super()._thread_main()
        except Exception as error:  # noqa: BLE001 - the boundary of a thread: its owner ends with it
            self._on_failure(error)

    def _gather(self) -> None:
        """Wait until the last read is long enough ago; the kernel takes in what comes meanwhile."""
        left_s = self._read_s + GATHER_S - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)  # paho's own thread, which has nothing else to do
        self._read_s = time.monotonic()

    def _received(self) -> bytes | None:
        """Return what has come; None when nothing has, empty at the end of the connection.

        TLS hands out a record at a time, and to a broker a message is a record: so until there is no more.
        """
        parts: list[bytes] = []
        size = 0
        while size < READ_BYTES:
            try:
                data = self._sock_recv(READ_BYTES)
            except BlockingIOError:
                return b"".join(parts) if parts else None
            except OSError:
                data = b""
            if not data:
                break  # the next read says so again
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def _take_packets(self, received: bytes) -> MQTTErrorCode:
        """Act on every whole packet of ``received``, in order; keep the rest."""
        messages: list[MqttMessage] = []
        at, code = 0, MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            while not code and (found := body_of(received, at)) is not None:
                start, end = found
                if received[at] & 0xF0 == _PUBLISH:
                    messages.append(message_of(received[at], received[start:end], self._protocol))
                else:
                    self._hand_over(messages)
                    messages = []
                    code = self._take_other(received[at], received[start:end])
                at = end
        finally:
            self._hand_over(messages)
        self._rest = received[at:]
        return code

    def _hand_over(self, messages: list[MqttMessage]) -> None:
        if messages:
            self._on_messages(messages)

    def _take_other(self, command: int, body: bytes) -> MQTTErrorCode:
        """Let paho act on a packet that is no PUBLISH.

        Raises:
            MalformedError: there is no such packet, or paho cannot read it.
        """
        self._in_packet["command"], self._in_packet["packet"] = command, bytearray(body)
        self._in_packet["remaining_length"] = len(body)
        try:
            code = self._packet_handle()
        except _UNREADABLE as error:
            raise MalformedError(f"a packet {command:#04x} of {len(body)} bytes: {error}") from error
        if code == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            raise MalformedError(f"a packet {command:#04x} of {len(body)} bytes")
        return code


def body_of(received: bytes, at: int) -> tuple[int, int] | None:
    """Return where the body of the packet at ``at`` begins and ends; None while it has not all come.

    >>> body_of(bytes.fromhex("d000" "40020001"), 2)
    (4, 6)

    Raises:
        MalformedError: its length field is longer than any may be.
    """
    length = shift = 0
    for number in range(1, _MAX_LENGTH_BYTES + 1):
        if at + number >= len(received):
            return None
        byte = received[at + number]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            start = at + number + 1
            return (start, start + length) if start + length <= len(received) else None
    raise MalformedError(f"a length of more than {_MAX_LENGTH_BYTES} bytes")


def message_of(command: int, body: bytes, protocol: MQTTProtocolVersion) -> MqttMessage:
    """Return the message in a PUBLISH. Properties are passed over: none of ours means anything to ingest.

    >>> message_of(0x32, bytes.fromhex("0003612f62" "000a" "7b7d"), MQTTProtocolVersion.MQTTv311).payload
    b'{}'

    Raises:
        MalformedError: it ends too early, or has a QoS there is none of.
    """
    qos = command >> 1 & 3
    end = 2 + int.from_bytes(body[:2], "big")
    topic, at = body[2:end], end
    mid = 0
    if qos:
        mid = int.from_bytes(body[at : at + 2], "big")
        at += 2
    if protocol == MQTTProtocolVersion.MQTTv5:
        found = body_of(body, at - 1)  # the properties have a length field of the same kind
        at = len(body) + 1 if found is None else found[1]
    if at > len(body) or qos > 1:
        raise MalformedError(f"a message of {len(body)} bytes, QoS {qos}")
    return MqttMessage(topic, body[at:], qos, mid, bool(command & 1))
