"""Strangers who connect to the page and to the figures and say nothing: ingest and rules go on without noticing."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from app.settings.loading import load_settings
from app.wiring.bounded_http import MOST
from app.wiring.console import ConsoleService
from app.wiring.console_tls import ConsoleTls
from app.wiring.metrics_server import Metrics
from app.wiring.open_files import PER_CONNECTION, RESERVED, connections_for
from app.wiring.run_child import wait_until_ready
from console.api.server import serve
from contracts.errors import ConfigurationError
from tests.console.support import wall_world
from tests.support.broker import need_mosquitto
from tests.support.linli_run import HOST, running, settings_over, wait_for

STRANGERS = 1500
USUAL_LIMIT = 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may open as many connections as the strangers have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * STRANGERS:
        pytest.skip(f"a process may open {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * STRANGERS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.service
@pytest.mark.usefixtures("many_files")
def test_strangers_at_the_page_take_nothing_that_ingest_needs(tmp_path: Path) -> None:
    need_mosquitto()
    with running(tmp_path, settings_over(tmp_path, mqtt_embedded="mosquitto")) as child, ExitStack() as held:
        port = urlsplit(wait_until_ready(child)).port or 0
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (USUAL_LIMIT, USUAL_LIMIT))
        for n in range(STRANGERS):
            client = held.enter_context(closing(socket.socket()))
            client.bind((f"127.0.1.{n % 200 + 1}", 0))
            client.setblocking(False)
            client.connect_ex((HOST, port))
        process = psutil.Process(child.pid)
        wait_for(child, lambda: process.num_fds() > 200, "stranger inside")
        (broker,) = process.children()
        broker.kill()  # what comes back needs files
        wait_for(child, lambda: "connection=2" in child.tail(), "second connection to the broker")
        assert process.num_fds() <= USUAL_LIMIT - 100
        assert child.stop() == 0, child.tail()


def test_a_page_that_died_is_served_again_at_its_address(tmp_path: Path) -> None:
    world = wall_world(tmp_path)
    server = serve(world.app, HOST, 0)
    console = object.__new__(ConsoleService)
    console._app, console._connections, console._tls = world.app, 16, ConsoleTls(load_settings(None, {}))
    assert console.revive(server) is server
    server._server.should_exit = True
    server._thread.join()
    again = console.revive(server)
    try:
        assert (again.is_alive(), again.url) == (True, server.url)
    finally:
        again.stop()


@pytest.mark.parametrize(
    ("limit", "connections"), [(RESERVED + 32, 16), (1024, 256), (1025, 256), (4096, 256), (2**31, 256)]
)
def test_connections_leave_room_for_everything_else(limit: int, connections: int) -> None:
    assert connections_for(limit) == connections
    assert connections_for(limit) * PER_CONNECTION + RESERVED <= limit


@pytest.mark.parametrize("limit", [0, 256, RESERVED + 31])
def test_a_limit_that_leaves_no_room_is_refused_at_the_start(limit: int) -> None:
    with pytest.raises(ConfigurationError, match=f"only {limit} files may be open: allow 960"):
        connections_for(limit)


def test_strangers_at_the_figures_are_few_and_do_not_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.wiring.bounded_http.FiguresHandler.timeout", 0.3)
    metrics = Metrics("run")
    url = urlsplit(metrics.serve(load_settings(None, {"LINLI_METRICS_PORT": "0"})) or "")
    try:
        with ExitStack() as held:
            idle = [
                held.enter_context(closing(socket.create_connection((HOST, url.port or 0)))) for _ in range(2 * MOST)
            ]
            for client in idle:
                client.settimeout(60)
                assert client.recv(1) == b""  # hung up on: there was no place, or it waited too long
            with closing(socket.create_connection((HOST, url.port or 0))) as client:
                client.settimeout(60)
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                assert client.recv(12).endswith(b"200")
    finally:
        metrics.close()
