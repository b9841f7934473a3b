"""The frugal way into paho: the same messages however the network cuts them, and paho's own word for all else."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from ingest.session.client import MalformedError, MqttClient, MqttMessage, body_of, message_of
from tests.support.web_server import HTTP_400, HTTP_502

V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
PINGRESP = b"\xd0\x00"
MESSAGES = st.builds(
    lambda topic, payload, mid, retain: MqttMessage(topic, payload, int(mid > 0), mid, retain),
    st.binary(min_size=1, max_size=40),
    st.binary(max_size=300),
    st.integers(0, 65_535),
    st.booleans(),
)


def raise_it(error: Exception) -> None:
    raise error


class Fed(MqttClient):
    """A client that reads ``chunks`` in place of a socket, ``at_once`` of them before there is no more for now."""

    def __init__(self, chunks: list[bytes], protocol: MQTTProtocolVersion, at_once: int = 1) -> None:
        self.heard: list[MqttMessage] = []
        super().__init__(
            CallbackAPIVersion.VERSION2, protocol=protocol, on_messages=self.heard.extend, on_failure=raise_it
        )
        self._chunks: Iterator[bytes] = iter(chunks)
        self._at_once, self._read = at_once, 0

    def _sock_recv(self, bufsize: int) -> bytes:
        self._read += 1
        chunk = next(self._chunks, None) if self._read <= self._at_once else None
        if chunk is None:
            self._read = 0
            raise BlockingIOError
        assert len(chunk) <= bufsize
        return chunk


def packet(message: MqttMessage, protocol: MQTTProtocolVersion, properties: bytes = b"") -> bytes:
    body = struct.pack("!H", len(message.topic)) + message.topic
    body += struct.pack("!H", message.mid) if message.qos else b""
    body += bytes([len(properties)]) + properties if protocol == V5 else b""
    body += message.payload
    length, size = b"", len(body)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([0x30 | message.qos << 1 | message.retain]) + length + bytes([size]) + body


@given(
    st.lists(MESSAGES, max_size=8),
    st.sampled_from([V311, V5]),
    st.lists(st.integers(1, 400), max_size=20),
    st.booleans(),
)
def test_messages_are_the_same_however_the_network_cuts_them(
    messages: list[MqttMessage],
    protocol: MQTTProtocolVersion,
    sizes: list[int],
    pinged: bool,
) -> None:
    sent = b"".join((PINGRESP if pinged else b"") + packet(m, protocol, b"\x01\x01") for m in messages)
    chunks = []
    for size in sizes:
        chunks.append(sent[:size])
        sent = sent[size:]
    client = Fed([chunk for chunk in [*chunks, sent] if chunk], protocol)
    for _ in range(len(chunks) + 2):
        assert client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert client.heard == messages


def test_what_is_no_mqtt_ends_the_connection_and_what_came_before_it_counts() -> None:
    message = MqttMessage(b"a/b", b"{}", 1, 7, retain=False)
    for rubbish in (b"\x30\xff\xff\xff\xff\xff", b"\x32\x02\x00\x09", b"\x36\x05\x00\x01a\x00\x01"):
        client = Fed([packet(message, V311), rubbish], V311)
        assert client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS
        assert client.loop_read() == MQTTErrorCode.MQTT_ERR_PROTOCOL
        assert client.heard == [message]


def test_what_comes_in_many_pieces_as_over_tls_is_read_at_once() -> None:
    messages = [MqttMessage(b"a/b", b"{}", 1, mid, retain=False) for mid in range(1, 201)]
    client = Fed([packet(message, V311) for message in messages], V311, at_once=1_000)
    client.loop_read()
    assert client.heard == messages


def test_what_came_before_the_end_of_the_stream_counts() -> None:
    message = MqttMessage(b"a/b", b"{}", 1, 7, retain=False)
    client = Fed([packet(message, V311), b"", b""], V311, at_once=3)
    assert client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert client.heard == [message]
    assert client.loop_read() == MQTTErrorCode.MQTT_ERR_CONN_LOST


def test_what_came_with_rubbish_behind_it_counts() -> None:
    message = MqttMessage(b"a/b", b"{}", 1, 7, retain=False)
    client = Fed([packet(message, V311) + b"\x32\x02\x00\x09"], V311)
    assert client.loop_read() == MQTTErrorCode.MQTT_ERR_PROTOCOL
    assert client.heard == [message]


def test_the_end_of_the_stream_is_a_lost_connection() -> None:
    assert Fed([b""], V311).loop_read() == MQTTErrorCode.MQTT_ERR_CONN_LOST


def test_a_new_connection_does_not_go_on_with_half_a_packet_of_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    message = MqttMessage(b"a/b", b"{}", 1, 7, retain=False)
    whole = packet(message, V311)
    client = Fed([whole[:4], whole], V311)
    client.loop_read()
    monkeypatch.setattr(mqtt.Client, "reconnect", lambda _client: MQTTErrorCode.MQTT_ERR_SUCCESS)
    client.reconnect()
    client.loop_read()
    assert client.heard == [message]


def test_acknowledgements_go_out_together_in_their_order() -> None:
    client = Fed([], V311)
    client.acknowledge([7, 1, 300])
    assert [bytes(out["packet"]) for out in client._out_packet] == [bytes.fromhex("40020007 40020001 4002012c")]


def test_a_packet_that_has_not_all_come_is_waited_for() -> None:
    assert body_of(b"\x30", 0) is None
    assert body_of(b"\x30\x80", 0) is None
    assert body_of(b"\x30\x03ab", 0) is None
    assert body_of(b"\x30\x03abc", 0) == (2, 5)
    with pytest.raises(MalformedError, match="length"):
        body_of(b"\x30\x80\x80\x80\x80\x01", 0)


def test_properties_longer_than_the_message_are_refused() -> None:
    with pytest.raises(MalformedError, match="5 bytes"):
        message_of(0x30, b"\x00\x01a\x09x", V5)


@given(
    st.lists(st.one_of(st.binary(max_size=90), st.sampled_from([HTTP_400, HTTP_502])), min_size=1, max_size=4),
    st.sampled_from([V311, V5]),
)
def test_whatever_comes_is_read_or_ends_the_connection(chunks: list[bytes], protocol: MQTTProtocolVersion) -> None:
    client = Fed(chunks, protocol)
    client.reconnect = lambda: MQTTErrorCode.MQTT_ERR_SUCCESS  # type: ignore[method-assign]
    for _ in range(len(chunks) + 1):
        assert isinstance(client.loop_read(), MQTTErrorCode)


@pytest.mark.parametrize("protocol", [V311, V5])
@pytest.mark.parametrize("answer", [HTTP_400, HTTP_502, b"\x20\x01\x00", b"\x90\x00", b"\x40\x03\x00\x01\x2f"])
def test_what_is_no_mqtt_is_said_in_words(answer: bytes, protocol: MQTTProtocolVersion) -> None:
    client = Fed([answer], protocol)
    if client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
        assert (answer == b"\x40\x03\x00\x01\x2f" and protocol == V311) or answer == b"\x90\x00"
        return
    assert client.wrong.startswith("what answers speaks no MQTT")
