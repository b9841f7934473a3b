from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from edge import supervise
from edge.spool.spool import Spool
from edge.supervise import SupervisedThread
from edge.uplink.mqtt import BrokerConfig, broker_address
from edge.uplink.publisher import SpoolPublisher
from edge.uplink.sender import SpoolSender
from tests.edge.factories import new_spool, reported


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
