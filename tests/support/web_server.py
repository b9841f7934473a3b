"""What is no MQTT broker: it answers whoever speaks to it as a web server does, and hangs up."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator

HTTP_400 = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>" + b"x" * 101
HTTP_502 = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 200\r\n\r\n" + b"x" * 200


class WebServer(socketserver.ThreadingTCPServer):
    """Answers every connection with :data:`HTTP_400`; ``answered`` counts them."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.answered = threading.Semaphore(0)
        super().__init__(("127.0.0.1", port), _Answer)


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.request.recv(1_000)
            self.request.sendall(HTTP_400)
        if isinstance(self.server, WebServer):
            self.server.answered.release()


@contextlib.contextmanager
def web_server(port: int = 0) -> Iterator[tuple[int, WebServer]]:
    """Its port, and the server; afterwards the port is free."""
    with WebServer(port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield int(server.server_address[1]), server
        finally:
            server.shutdown()
