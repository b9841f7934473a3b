"""A certificate out of its time is said in one sentence that names this machine's clock, and tried again."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.errors import Transient
from delivery.conformance.certificates import HOST, Certificates, Shown
from delivery.http.exchange import HttpPeer
from edge.uplink.mqtt import BrokerConfig, BrokerConnection
from system.certificates import said_of

STATES = {Shown.NOT_YET_VALID: "is not valid yet", Shown.EXPIRED: "has expired"}


@pytest.fixture(params=STATES)
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, Path, str]]:
    """A server that shows such a certificate: its port, the authority to believe, and what is to be said of it."""
    certificates = Certificates(tmp_path)
    context = certificates.server_side(request.param)
    state = STATES[request.param]
    said = rf"the certificate of the other side {state}, or this machine's clock \(2.* UTC\) is wrong"
    with socket.create_server((HOST, 0)) as listening:
        threading.Thread(target=_serve, args=(listening, context), daemon=True).start()
        yield listening.getsockname()[1], certificates.ca_file, said


def _serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()


def test_a_receiver_that_cannot_be_trusted_yet_is_waited_for(peer: tuple[int, Path, str]) -> None:
    port, ca_file, said = peer
    for _ in range(2):
        with pytest.raises(Transient, match=said):
            HttpPeer(urlsplit(f"https://{HOST}:{port}/"), timeout_s=5, ca_file=ca_file).post({}, b"")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves its socket to the collector
def test_a_box_waits_for_a_broker_that_cannot_be_trusted_yet(peer: tuple[int, Path, str]) -> None:
    port, ca_file, said = peer
    config = BrokerConfig(url=f"mqtts://{HOST}:{port}", ca_file=str(ca_file))
    for _ in range(2):
        with pytest.raises(Transient, match=said):
            BrokerConnection(config, "box", "topic", lambda _payload: None)


def test_other_errors_are_left_to_others() -> None:
    assert said_of(OSError("no route")) == ""
