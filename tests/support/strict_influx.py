"""An InfluxDB that answers as a test says, and refuses whatever the real ones would."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import msgspec

Judge = Callable[[list[str]], "Verdict"]


class Verdict(msgspec.Struct, frozen=True):
    """An answer. ``keeps``: which of the lines it keeps all the same."""

    status: int = 204
    body: str = ""
    headers: dict[str, str] = {}
    keeps: tuple[str, ...] = ()


class StrictInflux:
    """Keeps lines by series and time, as InfluxDB does; ``judge`` decides over each write. A context manager."""

    def __init__(self, judge: Judge = lambda _lines: Verdict()) -> None:
        self.judge = judge
        self.requests: list[list[str]] = []
        self.kept: dict[tuple[str, str], str] = {}
        self.wrong: list[str] = []
        self.hang = threading.Event()
        self.let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> StrictInflux:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def write(self, lines: list[str]) -> Verdict:
        """One write request's lines."""
        self.requests.append(lines)
        verdict = self.judge(lines)
        for line in lines if verdict.status < 300 else verdict.keeps:
            series, _, rest = line.partition(" ")
            fields, _, at_ns = rest.rpartition(" ")
            self.kept[series, at_ns] = fields
        return verdict

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                if server.hang.is_set():
                    server.let_go.wait(30)
                    self.close_connection = True
                    return
                url = urlsplit(self.path)
                if url.path == "/query":
                    self._answer(Verdict(200, '{"results":[{}]}'))
                    return
                problem = server.problem(url.path, parse_qs(url.query), dict(self.headers))
                if problem:
                    server.wrong.append(problem)
                    self._answer(Verdict(415, problem))
                    return
                self._answer(server.write(gzip.decompress(body).decode().splitlines()))

            def _answer(self, verdict: Verdict) -> None:
                body = verdict.body.encode()
                self.send_response(verdict.status)
                for name, value in {**verdict.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler

    def problem(self, path: str, query: dict[str, list[str]], headers: dict[str, str]) -> str:
        """Return what a real server would not like about a write."""
        if headers.get("Content-Encoding") != "gzip":
            return "not compressed"
        if query.get("precision") != ["ns"]:
            return "precision is not ns"
        wanted = {"/write": {"db"}, "/api/v2/write": {"org", "bucket"}}.get(path)
        if wanted is None:
            return f"no such path: {path}"
        if path == "/api/v2/write" and not headers.get("Authorization", "").startswith("Token "):
            return "no token"
        return "" if wanted <= set(query) else f"{wanted} are needed"
