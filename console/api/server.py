"""Running the console: uvicorn in a thread of its own, started and stopped by whoever wires the process."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from functools import partial
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from console.api.connections import MOST_CONNECTIONS, BoundedProtocol, ConnectionLimits, Deadlines
from console.api.context import ConsoleContext
from console.api.forwarded import is_proxy
from console.api.tls import tls_protocol
from contracts.errors import ConfigurationError, Permanent

_START_S = 15.0
_STOP_S = 5
_BACKLOG = 64
"""Connections that the system holds for us; so many may also be taken at once before they are counted."""
_SHARE_OF_ADDRESS = 4
"""One address may have so much of all connections: a quarter."""
_DEADLINES = Deadlines()


class Server:
    """A running console. :meth:`stop` ends streams, lets answers finish, and returns when the thread has ended."""

    def __init__(
        self,
        server: uvicorn.Server,
        thread: threading.Thread,
        context: ConsoleContext,
        host: str,
        port: int,
        *,
        secure: bool = False,
    ) -> None:
        self._server = server
        self._thread = thread
        self._context = context
        self.host = host
        self.port = port
        self._scheme = "https" if secure else "http"

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._server.server_state.connections)

    def is_alive(self) -> bool:
        """Return whether it still serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop serving; safe to call twice."""
        self._context.closing.set()
        self._context.store.commit_signal.emit()  # wakes every stream, which then sees that it has to end
        self._server.should_exit = True
        self._thread.join(2 * _STOP_S + 5)


def serve(
    app: FastAPI,
    host: str,
    port: int,
    connections: int = MOST_CONNECTIONS,
    deadlines: Deadlines = _DEADLINES,
    tls: ssl.SSLContext | None = None,
) -> Server:
    """Serve ``app`` in a thread; returns when it accepts connections. Port 0 takes a free one.

    Args:
        connections: how many there may be at once.
        deadlines: how long a client may let it wait.
        tls: what it shows of itself; None: plain HTTP.

    Raises:
        ConfigurationError: when the address cannot be used, for instance because the port is taken.
    """
    context = cast(ConsoleContext, app.state.context)
    listener = _listen(host, port)
    server = uvicorn.Server(_config(app, context, connections, deadlines, tls))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="console", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise Permanent(f"the console did not start on {host}:{port}")
        time.sleep(0.01)  # uvicorn tells of its start by an attribute only
    return Server(server, thread, context, host, listener.getsockname()[1], secure=tls is not None)


def _config(
    app: FastAPI, context: ConsoleContext, connections: int, deadlines: Deadlines, tls: ssl.SSLContext | None
) -> uvicorn.Config:
    proxies = context.trusted_proxies
    limits = ConnectionLimits(
        connections, max(connections // _SHARE_OF_ADDRESS, 1), lambda address: is_proxy(address, proxies)
    )
    http = partial(BoundedProtocol, limits, deadlines)
    https = None if tls is None else partial(tls_protocol, tls, limits, deadlines)
    return uvicorn.Config(
        app,
        http=cast(Any, https or http),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        backlog=_BACKLOG,
        timeout_keep_alive=cast(int, deadlines.idle_s),
        timeout_graceful_shutdown=_STOP_S,
        h11_max_incomplete_event_size=32 * 1024,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(f"console: cannot listen on {host}:{port}: {error}") from None
    return listener
