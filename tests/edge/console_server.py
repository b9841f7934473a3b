"""The console's evidence endpoint in miniature: HEAD and PUT as docs/architecture.md says, with faults on demand."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "secret-of-b1"


class Console:
    """What was uploaded. ``faults``: statuses to answer the next requests with instead of taking them."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.complete: dict[str, bytes] = {}
        self.faults: list[int] = []
        self.requests: list[tuple[str, int]] = []
        self.url = ""


@contextmanager
def console_server() -> Iterator[Console]:
    """A console on the loopback."""
    console = Console()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(console))
    console.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield console
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(console: Console) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            held = console.complete.get(self._sha256()) or console.parts.get(self._sha256(), b"")
            self._answer(200, len(held))

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", self.headers["Content-Range"])
            assert found is not None
            begin, end, total = (int(group) for group in found.groups())
            assert end - begin + 1 == len(body)
            held = console.parts.get(self._sha256(), b"")
            if begin != len(held):
                return self._answer(409, len(held))
            if console.faults:
                return self._answer(console.faults.pop(0), None)
            return self._take(held + body, total)

        def _take(self, data: bytes, total: int) -> None:
            console.parts[self._sha256()] = data
            if len(data) < total:
                return self._answer(202, len(data))
            del console.parts[self._sha256()]
            if hashlib.sha256(data).hexdigest() != self._sha256():
                return self._answer(422, None)
            console.complete[self._sha256()] = data
            return self._answer(201, len(data))

        def _sha256(self) -> str:
            return self.path.rsplit("/", 1)[1]

        def _answer(self, status: int, offset: int | None) -> None:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, offset = 401, None
            console.requests.append((self.command, status))
            self.send_response(status)
            if offset is not None:
                self.send_header("Upload-Offset", str(offset))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Silent."""

    return Handler
