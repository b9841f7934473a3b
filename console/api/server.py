"""Running the console: uvicorn in a thread of its own, started and stopped by whoever wires the process."""

from __future__ import annotations

import socket
import threading
import time
from typing import cast

import uvicorn
from fastapi import FastAPI

from console.api.context import ConsoleContext
from contracts.errors import ConfigurationError, Permanent

_START_S = 15.0
_STOP_S = 5


class Server:
    """A running console. :meth:`stop` ends streams, lets answers finish, and returns when the thread has ended."""

    def __init__(
        self, server: uvicorn.Server, thread: threading.Thread, context: ConsoleContext, host: str, port: int
    ) -> None:
        self._server = server
        self._thread = thread
        self._context = context
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def is_alive(self) -> bool:
        """Return whether it still serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop serving; safe to call twice."""
        self._context.closing.set()
        self._context.store.commit_signal.emit()  # wakes every stream, which then sees that it has to end
        self._server.should_exit = True
        self._thread.join(2 * _STOP_S + 5)


def serve(app: FastAPI, host: str, port: int) -> Server:
    """Serve ``app`` in a thread; returns when it accepts connections. Port 0 takes a free one.

    Raises:
        ConfigurationError: when the address cannot be used, for instance because the port is taken.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_STOP_S,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="console", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise Permanent(f"the console did not start on {host}:{port}")
        time.sleep(0.01)  # uvicorn tells of its start by an attribute only
    return Server(server, thread, cast(ConsoleContext, app.state.context), host, listener.getsockname()[1])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(f"console: cannot listen on {host}:{port}: {error}") from None
    return listener
