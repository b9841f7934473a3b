"""An HTTP server for figures that a stranger's idle connections cannot grow: a few at a time, each with a deadline."""

from __future__ import annotations

import socket
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

MOST = 16
WAIT_S = 10.0
"""For each read and write of a connection."""


class FiguresHandler(WSGIRequestHandler):
    """Answers one connection, without a line in the log."""

    timeout = WAIT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Say nothing."""


class BoundedHttpServer(ThreadingMixIn, WSGIServer):
    """Serves at most MOST connections at once; who comes then is hung up on."""

    daemon_threads = True

    def __init__(self, *args: Any, **options: Any) -> None:
        self._places = threading.BoundedSemaphore(MOST)
        super().__init__(*args, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread of its own, if there is a place."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve, but no longer than a few deadlines; then give the place back."""
        end = threading.Timer(3 * WAIT_S, _hang_up, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the other side hung up, or let us wait."""


class BoundedHttpServer6(BoundedHttpServer):
    """The same on an address of IPv6."""

    address_family = socket.AF_INET6


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended meanwhile
