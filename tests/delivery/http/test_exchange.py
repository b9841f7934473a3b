"""One exchange: every address of a name is tried, within one limit over all of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from contracts.errors import Transient
from delivery.conformance.hostile_peer import HostilePeer
from delivery.conformance.moves import answer, read
from delivery.http.address import parse_address
from delivery.http.exchange import HttpPeer


def addresses(*ports: int) -> Callable[..., list[object]]:
    """A name lookup that gives these ports of loopback."""
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]


def make_peer(*, timeout_s: float) -> HttpPeer:
    return HttpPeer(parse_address("http://localhost/linli"), timeout_s=timeout_s)


def test_the_next_address_of_a_name_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with HostilePeer() as gone:
        pass
    with HostilePeer((read, answer(200, body=b"yes"))) as peer:
        monkeypatch.setattr(socket, "getaddrinfo", addresses(gone.port, peer.port))
        assert make_peer(timeout_s=30.0).post({}, b"x").body == b"yes"


def test_a_name_without_addresses_may_have_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses())
    with pytest.raises(Transient, match="OSError after at most 30 s"):
        make_peer(timeout_s=30.0).post({}, b"x")


def test_many_addresses_that_take_no_connection_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with HostilePeer(takes=False) as peer:
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*[peer.port] * 200))
        started_s = time.monotonic()
        with pytest.raises(Transient, match=r"after at most 0\.3 s"):
            make_peer(timeout_s=0.3).post({}, b"x")
        assert time.monotonic() - started_s < 20  # a limit for each would be a minute
