"""A stream is published over a real broker: everything confirmed, boxes' rows only by ingest's own word."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contracts.errors import ConfigurationError, Transient
from contracts.events import DeviceReported, Lane, SpoolMark
from contracts.names import Topic, parse_topic
from simulator.publish import EventPublisher, publish_all

MOSQUITTO = shutil.which("mosquitto")
SITE = "site-01"
Due = tuple[float, Topic, DeviceReported]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """A mosquitto on a free loopback port."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "m.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_port(port)
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _await_port(port: int) -> None:
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"no broker on {port}")


class StandIn:
    """Ingest's stand-in: collects what arrives; acknowledges boxes' rows, but only from ``deaf`` messages on."""

    def __init__(self, url: str, deaf: int) -> None:
        self.seen: list[tuple[str, str]] = []
        self._deaf = deaf
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="stand-in", protocol=mqtt.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe("linli/v1/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self._client.loop_start()
        assert self._ready.wait(10)

    def _take(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/got"):
            return
        fields = msgspec.json.decode(message.payload)
        self.seen.append((message.topic, fields["event_id"]))
        spool = fields.get("spool")
        if spool and len(self.seen) > self._deaf:
            got = {"spool_id": spool["spool_id"], "lane": spool["lane"], "through_seq": spool["seq"]}
            self._client.publish(message.topic.replace("/evt", "/got"), msgspec.json.encode(got), qos=1)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _stream(count: int) -> list[Due]:
    box, gate = parse_topic(f"linli/v1/{SITE}/edge/box-1/evt"), parse_topic(f"linli/v1/{SITE}/gate/gate-1/evt")
    stream: list[Due] = []
    for n in range(1, count + 1):
        mark = SpoolMark(box_id="box-1", spool_id="sp-1", lane=Lane.LIVE, seq=n)
        row = DeviceReported(event_id=f"r{n}", site_id=SITE, source_id="box-1", place_id="b1", at_ms=n, spool=mark)
        said = DeviceReported(event_id=f"g{n}", site_id=SITE, source_id="gate-1", place_id="b1", at_ms=n)
        stream += [(0.0, box, row), (0.0, gate, said)]
    return stream


@pytest.mark.service
def test_rows_that_ingest_did_not_acknowledge_are_sent_again_until_it_does(broker: str) -> None:
    ingest = StandIn(broker, deaf=60)
    publisher = EventPublisher(broker, "simulator-test")
    publisher.start()
    try:
        sent = publish_all(publisher, _stream(30), stop=lambda: False)
        assert publisher.wait_confirmed(20)
    finally:
        publisher.stop()
        ingest.stop()

    rows = [event_id for _, event_id in ingest.seen if event_id.startswith("r")]
    assert sent == publisher.published == 60
    assert set(rows) == {f"r{n}" for n in range(1, 31)}
    assert len(rows) == 60  # once, unheard, and once again
    assert sorted(e for _, e in ingest.seen if e.startswith("g")) == sorted(f"g{n}" for n in range(1, 31))


@pytest.mark.service
def test_without_ingest_the_rows_stay_unconfirmed_and_nothing_else_does(broker: str) -> None:
    publisher = EventPublisher(broker, "simulator-test")
    publisher.start()
    try:
        publish_all(publisher, _stream(5), stop=lambda: False)
        assert not publisher.wait_confirmed(1.0)
        assert publisher.unconfirmed() == 5
    finally:
        publisher.stop()


def test_events_wait_until_they_are_due_and_stop_ends_the_stream() -> None:
    now = [0.0]
    sent: list[tuple[float, str]] = []

    class Recorder(EventPublisher):
        def send(self, topic: Topic, event: object) -> None:
            sent.append((now[0], str(topic)))

    def sleep(seconds: float) -> None:
        now[0] += seconds

    stream = [(due_s, topic, event) for (_, topic, event), due_s in zip(_stream(2), (0.0, 0.5, 1.0, 9.0), strict=True)]
    count = publish_all(
        Recorder("mqtt://127.0.0.1", "x"), stream, stop=lambda: now[0] > 5, clock=lambda: now[0], sleep=sleep
    )

    assert count == 3
    assert [at_s for at_s, _ in sent] == pytest.approx([0.0, 0.5, 1.0])


def test_a_url_that_is_none_is_refused_with_what_is_expected() -> None:
    with pytest.raises(ConfigurationError, match=r"mqtt://\[user"):
        EventPublisher("http://127.0.0.1", "x")


def test_no_broker_is_a_transient_error() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

        with pytest.raises(Transient, match="no MQTT broker"):
            EventPublisher(f"mqtt://127.0.0.1:{port}", "x").start()
