from __future__ import annotations

import socketserver
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.errors import ConfigurationError
from edge import supervise
from edge.spool.spool import Spool
from edge.supervise import SupervisedThread
from edge.uplink.mqtt import BrokerConfig, broker_address
from edge.uplink.publisher import BACKOFF_S, SpoolPublisher
from edge.uplink.sender import SpoolSender
from tests.edge.factories import new_spool, reported
from tests.support.web_server import HTTP_502, web_server


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://127.0.0.1:1884", ("127.0.0.1", 1884)),
        ("mqtt://broker", ("broker", 1883)),
        ("mqtts://b.example.org", ("b.example.org", 8883)),
    ],
)
def test_a_broker_is_named_by_url(url: str, address: tuple[str, int]) -> None:
    assert broker_address(url) == address


@pytest.mark.parametrize("url", ["", "127.0.0.1", "http://x", "mqtt://", "mqtt://x:99999", "mqtt://x:y"])
def test_what_is_no_broker_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected mqtt://host:port"):
        broker_address(url)


@pytest.fixture(scope="module")
def one_row(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """A spool with one row."""
    spool = new_spool(tmp_path_factory.mktemp("spool"))
    spool.add(reported(1))
    return spool


@settings(max_examples=200, deadline=None)
@given(payload=st.one_of(st.binary(max_size=200), st.sampled_from([b"null", b"{}", b'{"spool_id":1}', b"[" * 5000])))
def test_garbage_instead_of_an_acknowledgement_is_counted_and_deletes_nothing(one_row: Spool, payload: bytes) -> None:
    spool = one_row
    sender = SpoolSender(spool)
    before = spool.counts(0).rows
    SpoolPublisher(BrokerConfig(), site_id="s1", box_id="b1", sender=sender, now_ms=lambda: 0)._acknowledged(payload)
    assert (sender.ignored_acknowledgements, spool.counts(0).rows) == (1, before)


def test_a_worker_that_fails_begins_again_and_is_counted() -> None:
    tries: list[int] = []

    def body(stop: threading.Event) -> None:
        tries.append(1)
        if len(tries) < 2:
            raise RuntimeError("the first time")

    worker = SupervisedThread("w", body)
    worker.start()
    assert worker.join(60)
    assert (len(tries), worker.failures) == (2, 1)


def test_a_worker_that_waits_to_begin_again_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "RESTART_S", (3_600.0,))
    failed = threading.Event()

    def body(stop: threading.Event) -> None:
        failed.set()
        raise RuntimeError("always")

    worker = SupervisedThread("w", body)
    worker.start()
    assert failed.wait(60)
    worker.stop()
    assert worker.join(60)
    assert worker.failures == 1


CONNACK, SUBACK = bytes([0x20, 2, 0, 0]), bytes([0x90, 3, 0, 1, 1])


class _RefusingBroker(socketserver.BaseRequestHandler):
    """Takes a connection and a subscription, and ends it at the first publication, as brokers do that refuse by ACL."""

    def handle(self) -> None:
        while data := self.request.recv(4_096):
            answer = {0x10: CONNACK, 0x80: SUBACK}.get(data[0] & 0xF0)
            if answer is None:
                return
            self.request.sendall(answer)


class _Stop(threading.Event):
    """Never waits; notes for how long it was asked to."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.waited: list[float] = []
        self._times = times

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        if len(self.waited) >= self._times:
            self.set()
        return self.is_set()


def test_a_broker_that_refuses_what_we_say_is_asked_ever_more_seldom(one_row: Spool) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _RefusingBroker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config, stop = BrokerConfig(url=f"mqtt://127.0.0.1:{server.server_address[1]}"), _Stop(7)
        publisher = SpoolPublisher(config, site_id="s1", box_id="b1", sender=SpoolSender(one_row), now_ms=lambda: 1)
        publisher.run(stop)
        server.shutdown()
    assert publisher.reconnects == 7
    assert [pause <= longest for pause, longest in zip(stop.waited, BACKOFF_S, strict=True)] == [True] * 7
    assert sum(stop.waited) > sum(BACKOFF_S) / 2


def _publishes_to(port: int, spool: Spool, times: int) -> list[str]:
    """What a box says of a broker at ``port`` that it comes to so many times."""
    config = BrokerConfig(url=f"mqtt://127.0.0.1:{port}")
    sender = SpoolSender(spool)
    with capture_logs() as said:
        SpoolPublisher(config, site_id="s1", box_id="b1", sender=sender, now_ms=lambda: 1).run(_Stop(times))
    return [str(line.get("error", "")) for line in said if line["event"] == "broker"]


def test_a_web_server_in_the_brokers_place_is_said_and_asked_again(one_row: Spool) -> None:
    with web_server() as (port, _):
        told = _publishes_to(port, one_row, 3)
    assert len(told) == 3
    assert all("what answers speaks no MQTT" in line for line in told)


class _TornBroker(_RefusingBroker):
    """Takes a connection and a subscription; then a proxy's answer stands in the middle of the stream."""

    def handle(self) -> None:
        for answer in (CONNACK, SUBACK, HTTP_502):
            if self.request.recv(4_096):
                self.request.sendall(answer)


def test_a_web_servers_answer_in_a_standing_connection_is_a_lost_connection(one_row: Spool) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _TornBroker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = _publishes_to(server.server_address[1], one_row, 2)
        server.shutdown()
    assert len(told) == 2
    assert all("what answers speaks no MQTT" in line for line in told)
