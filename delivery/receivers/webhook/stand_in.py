"""A strict stand-in for a webhook receiver on loopback: checks every signature, counts every key; for demo and tests.

What it counts is what the demo proves: nothing lost (every incident told) and nothing told twice under another key.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec

from delivery.deliveries import DeliveryMessage
from delivery.receivers.webhook.signature import (
    NEXT_SIGNATURE_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SignedRequest,
    Verifier,
)

PATH = "/linli"
_MAX_BODY = 256 * 1024


class ScriptedResponse(msgspec.Struct, frozen=True):
    """How the next request is answered instead of properly. ``delay_s`` passes before, ``drip_s`` between bytes."""

    status: int = 200
    body: bytes | None = None
    retry_after: str | None = None
    delay_s: float = 0.0
    drip_s: float = 0.0
    accept: bool = False  # count the message although the answer says otherwise: an answer that got lost


class StandIn:
    """The server. Use as a context manager, or ``start()`` and ``stop()``.

    Attributes:
        accepted: key → message, of every accepted delivery, each once.
        refused: reason → count.
        repeats: how often a known key came again (allowed: a retry).
    """

    def __init__(self, secret: bytes, *, now_s: Callable[[], float] = time.time) -> None:
        self._verifier = Verifier(secret)
        self._now_s = now_s
        self._lock = threading.Lock()
        self._script: list[ScriptedResponse] = []
        self.accepted: dict[str, DeliveryMessage] = {}
        self.bodies: dict[str, bytes] = {}
        self.refused: Counter[str] = Counter()
        self.repeats = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{PATH}"

    def start(self) -> StandIn:
        """Start listening in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening, if it ever began to; waiting answers end at once."""
        self._stopping.set()
        if self._thread.ident is not None:  # who waits for the end of what never began waits for ever
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()

    def __enter__(self) -> StandIn:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def answer_next(self, *script: ScriptedResponse) -> None:
        """Answer the next requests as scripted, one after another."""
        with self._lock:
            self._script.extend(script)

    def told_incidents(self) -> set[str]:
        """Return the incidents of which at least one delivery was accepted."""
        with self._lock:
            return {message.incident.incident_id for message in self.accepted.values()}

    def told_twice(self) -> int:
        """Return deliveries of the same news accepted under different keys."""
        with self._lock:
            news = Counter(
                (message.incident.incident_id, message.kind, message.incident.severity, message.incident.state)
                for message in self.accepted.values()
            )
        return sum(count - 1 for count in news.values())

    def know(self, secret: bytes) -> None:
        """Check by this secret from now on, and by none before."""
        with self._lock:
            self._verifier = Verifier(secret)

    def judge(self, request: SignedRequest, signature: str, key: str, following: str = "") -> tuple[int, bytes]:
        """Return status and body for one request, counting it."""
        with self._lock:
            refusal = self._verifier.refusal(request, signature, int(self._now_s()), following)
            if refusal is not None:
                self.refused[refusal] += 1
                return 401, b""
            return self._count(request.body, key)

    def next_script(self) -> ScriptedResponse | None:
        """Return the scripted answer to the request that just came, if there is one."""
        with self._lock:
            return self._script.pop(0) if self._script else None

    def wait(self, seconds: float) -> bool:
        """Wait, but not beyond :meth:`stop`; whether it is stopping."""
        return self._stopping.wait(seconds)

    def _count(self, body: bytes, key: str) -> tuple[int, bytes]:
        try:
            message = msgspec.json.decode(body, type=DeliveryMessage)
        except msgspec.DecodeError:
            self.refused["body"] += 1
            return 400, b""
        if message.delivery_id != key or self.bodies.get(key, body) != body:
            self.refused["key"] += 1
            return 422, b""
        self.repeats += key in self.accepted
        self.accepted[key], self.bodies[key] = message, body
        return 200, msgspec.json.encode({"delivery_id": key})


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    stand_in: StandIn


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != PATH or not 0 < length <= _MAX_BODY:
            self._answer(404, b"", None, 0.0)
            return
        body = self.rfile.read(length)
        script = self.server.stand_in.next_script()
        if script is None:
            self._answer(*self._judge(body), None, 0.0)
            return
        self._play(script, body)

    def _play(self, script: ScriptedResponse, body: bytes) -> None:
        if script.accept:
            self._judge(body)
        if not self.server.stand_in.wait(script.delay_s):
            self._answer(script.status, script.body or b"", script.retry_after, script.drip_s)

    def _judge(self, body: bytes) -> tuple[int, bytes]:
        header = self.headers.get
        request = SignedRequest(
            timestamp=header(TIMESTAMP_HEADER, ""),
            nonce=header(NONCE_HEADER, ""),
            method="POST",
            path=self.path,
            body=body,
        )
        signatures = header(SIGNATURE_HEADER, ""), header(NEXT_SIGNATURE_HEADER, "")
        return self.server.stand_in.judge(request, signatures[0], header("Idempotency-Key", ""), signatures[1])

    def _answer(self, status: int, body: bytes, retry_after: str | None, drip_s: float) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self._drip(body, drip_s)
        except OSError:
            self.close_connection = True  # the sender gave up waiting, which is what some scripts are for

    def _drip(self, body: bytes, drip_s: float) -> None:
        if not drip_s:
            self.wfile.write(body)
            return
        for byte in body:
            if self.server.stand_in.wait(drip_s):
                return
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Do nothing: requests are counted, not logged."""
