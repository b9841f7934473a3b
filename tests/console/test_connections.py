"""Connections that strangers open and let wait: each ends, there are never too many, and the page answers others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import Response

from console.api.connections import ConnectionLimits, Deadlines
from console.api.feed_places import FeedPlaces, TooManyFeeds
from console.api.server import Server, serve
from tests.console.support import BOX_TOKEN, World, logged_in, wall_world

HASTY = Deadlines(head_s=0.3, progress_s=0.3, idle_s=0.3)
PATIENT = Deadlines(head_s=600, progress_s=600, idle_s=600)
PATIENCE_S = 60.0
GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = 32 * 1024 * 1024


@contextmanager
def _served(world: World, connections: int = 64, deadlines: Deadlines = HASTY) -> Iterator[Server]:
    server = serve(world.app, "127.0.0.1", 0, connections, deadlines)
    try:
        yield server
    finally:
        server.stop()


def _connect(server: Server, source: str = "127.0.0.1", receive_bytes: int = 0) -> socket.socket:
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(PATIENCE_S)
    client.bind((source, 0))
    client.connect((server.host, server.port))
    return client


def _is_hung_up_on(client: socket.socket) -> bool:
    """Wait until the other side ends the connection; raises after PATIENCE_S if it never does."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


def _until(holds: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own limit ends what never does."""
    pause = threading.Event()
    while not holds():
        pause.wait(0.02)


def _nothing(_client: socket.socket) -> None:
    return


def _half_a_head(client: socket.socket) -> None:
    client.sendall(GET[:-10])


def _a_byte_now_and_then(client: socket.socket) -> None:
    """A head that never ends, in a thread of its own until it is hung up on."""

    def trickle() -> None:
        pause = threading.Event()
        try:
            client.sendall(GET[:-4])
            while not pause.wait(0.02):
                client.sendall(b"a")
        except OSError:
            return

    threading.Thread(target=trickle, daemon=True).start()


def _half_a_body(client: socket.socket) -> None:
    head = f"PUT /edge/v1/evidence/{'a' * 64} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BOX_TOKEN}\r\n"
    client.sendall(head.encode() + b"Content-Range: bytes 0-9999/10000\r\nContent-Length: 10000\r\n\r\n" + b"x" * 100)


def _a_body_for_nobody(client: socket.socket) -> None:
    head = f"PUT /edge/v1/evidence/{'a' * 64} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    client.sendall(head.encode() + b"x" * 100)


def _one_request_and_then_nothing(client: socket.socket) -> None:
    client.sendall(GET)


def _half_of_a_second_head(client: socket.socket) -> None:
    client.sendall(GET + GET[:-10])


IDLERS: dict[str, Callable[[socket.socket], None]] = {
    "nothing": _nothing,
    "half a head": _half_a_head,
    "a byte now and then": _a_byte_now_and_then,
    "half a body": _half_a_body,
    "a body for nobody": _a_body_for_nobody,
    "one request": _one_request_and_then_nothing,
    "half of a second head": _half_of_a_second_head,
}
"""Every way to keep a connection that asks for nothing."""


@pytest.mark.parametrize("how", IDLERS)
def test_a_connection_that_waits_for_nothing_ends(tmp_path: Path, how: str) -> None:
    with _served(wall_world(tmp_path)) as server, closing(_connect(server)) as client:
        IDLERS[how](client)
        assert _is_hung_up_on(client)


def test_an_answer_that_is_not_taken_ends_and_one_that_is_taken_arrives_whole(tmp_path: Path) -> None:
    world = wall_world(tmp_path)
    world.app.add_api_route("/big", lambda: Response(bytes(BIG)))
    with _served(world) as server:
        with closing(_connect(server, receive_bytes=4096)) as client:
            client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            _until(lambda: server.connections == 1)
            _until(lambda: server.connections == 0)
        assert len(httpx.get(f"{server.url}/big", timeout=PATIENCE_S).content) == BIG


def test_one_address_cannot_take_every_place(tmp_path: Path) -> None:
    with _served(wall_world(tmp_path), 16, PATIENT) as server, ExitStack() as held:
        idle = [held.enter_context(closing(_connect(server, "127.0.0.66"))) for _ in range(16)]
        refused = [client for client in idle if _answer_at_once(client).startswith(b"HTTP/1.1 503")]
        assert len(refused) == 12
        assert httpx.get(f"{server.url}/api/v1/health", timeout=PATIENCE_S).status_code == 200


def _answer_at_once(client: socket.socket) -> bytes:
    client.sendall(GET)
    try:
        return client.recv(100)
    except ConnectionResetError:
        return b"HTTP/1.1 503"  # sent before our request was read


def test_all_together_cannot_take_more_than_there_are_and_places_come_back(tmp_path: Path) -> None:
    with _served(wall_world(tmp_path), 8, PATIENT) as server:
        with ExitStack() as held:
            many = [held.enter_context(closing(_connect(server, f"127.0.0.{n + 2}"))) for n in range(12)]
            assert sum(_answer_at_once(client).startswith(b"HTTP/1.1 503") for client in many) == 4
            assert server.connections == 8
        with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
            _until(lambda: server.connections < 8)
            assert client.get("/api/v1/health").status_code == 200


def test_a_proxy_of_ours_speaks_for_many() -> None:
    limits = ConnectionLimits(5, 2, lambda address: address == "10.0.0.1")
    assert [limits.enter("10.0.0.1") for _ in range(3)] == [True] * 3
    assert [limits.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert limits.enter("10.0.0.1") is False
    limits.leave("192.0.2.1")
    assert limits.enter("192.0.2.1") is True


@pytest.mark.parametrize("most", [{"of_session": 2}, {"of_address": 2}, {"in_all": 2}])
def test_feeds_are_bounded_by_session_by_address_and_in_all(most: dict[str, int]) -> None:
    places = FeedPlaces(**most)
    with places.place("s", "a"), places.place("s", "a"):
        with pytest.raises(TooManyFeeds), places.place("s", "a"):
            pass
        if "in_all" not in most:
            with places.place("t", "b"):
                pass
    with places.place("s", "a"), places.place("s", "a"):
        pass


def test_one_session_holds_a_few_feeds_and_no_more(tmp_path: Path) -> None:
    world = wall_world(tmp_path)
    world.add_people("wang", "li")
    with _served(world, 128, PATIENT) as server, ExitStack() as held, logged_in(server, world, "wang") as client:
        streams = [held.enter_context(client.stream("GET", "/api/v1/stream")) for _ in range(9)]
        assert [stream.status_code for stream in streams] == [200] * 8 + [429]
        with logged_in(server, world, "li") as other, other.stream("GET", "/api/v1/stream") as stream:
            assert stream.status_code == 200
