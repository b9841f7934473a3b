"""Connections of strangers: how many, from where, and how long they may keep one waiting.

Whoever connects may send nothing, or a byte now and then, or never read. Each of these ends after a while, and there
are never so many that the process could not open its own files.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.api.security_headers import HEADERS

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LEAST_BYTES = 4096
MOST_CONNECTIONS = 256
"""Unless told otherwise."""


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. ``progress_s``: within each, at least LEAST_BYTES of a body come, or of an answer are taken."""

    head_s: float = 10.0
    progress_s: float = 30.0
    idle_s: float = 5.0


class ConnectionLimits:
    """Counts connections, in all and of each address. Used by one event loop.

    Args:
        most: in all.
        most_of_address: of one address; several people may share it.
        is_exempt: whether an address speaks for many, as a proxy of ours does: it counts in all alone.
    """

    def __init__(self, most: int, most_of_address: int, is_exempt: Callable[[str], bool] = lambda _: False) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._is_exempt = is_exempt
        self._of_address: Counter[str] = Counter()
        self._all = 0

    def enter(self, address: str) -> bool:
        """Count a connection and return True; False when there are too many."""
        crowded = self._of_address[address] >= self._most_of_address and not self._is_exempt(address)
        if crowded or self._all >= self._most:
            return False
        self._of_address[address] += 1
        self._all += 1
        return True

    def leave(self, address: str) -> None:
        """Forget a connection that had entered."""
        self._all -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]


class BoundedProtocol(H11Protocol):
    """HTTP of uvicorn with an end to everything that a client can let wait."""

    def __init__(self, limits: ConnectionLimits, deadlines: Deadlines, **of_server: Any) -> None:
        super().__init__(**of_server)
        self._limits = limits
        self._deadlines = deadlines
        self._entered: str | None = None
        self._head: asyncio.TimerHandle | None = None
        self._body: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None
        self._received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or say that there are too many and hang up."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if self._limits.enter(address):
            self._entered = address
            self._head = self.loop.call_later(self._deadlines.head_s, self._hang_up)
        else:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End everything that waits."""
        for timer in (self._head, self._body, self._answer, self.timeout_keep_alive_task):
            _cancel(timer)
        if self._entered is not None:
            self._limits.leave(self._entered)
            self._entered = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; of a head they must all come in time, of a body some in every stretch of time."""
        if self._entered is None:
            return
        self._received += len(data)
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.IDLE:
            self._head = self._head or self.loop.call_later(self._deadlines.head_s, self._hang_up)
            return
        _cancel(self._head)
        self._head = None
        if state is h11.SEND_BODY and self._body is None:
            self._watch_body(self._received)

    def on_response_complete(self) -> None:
        """Go on to the next request, or see that the answer is taken."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:  # what comes now is for nobody
            _cancel(self._body)
            self._body = self.loop.call_later(self._deadlines.idle_s, self._hang_up)
        self._watch_answer()

    def timeout_keep_alive_handler(self) -> None:
        """Hang up on a client that asks nothing more; nobody is waited for to take the last answer."""
        super().timeout_keep_alive_handler()
        self._watch_answer()

    def pause_writing(self) -> None:
        """Wait for the client to take what was written, but not forever."""
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        """Go on: the client took enough."""
        super().resume_writing()
        _cancel(self._answer)
        self._answer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, with the headers that every answer has."""
        headers = [(name.lower(), value) for name, value in HEADERS.items()]
        response = h11.Response(status_code=400, reason=b"Bad Request", headers=[*headers, ("connection", "close")])
        for event in (response, h11.Data(data=msg.encode("ascii")), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch_body(self, received: int) -> None:
        """Look again after a stretch whether enough has come since ``received``; what we do not read counts not."""

        def look() -> None:
            self._body = None
            if self.conn.their_state is not h11.SEND_BODY:
                return
            if self._received - received < LEAST_BYTES and not self.flow.read_paused:
                self._hang_up()
            else:
                self._watch_body(self._received)

        self._body = self.loop.call_later(self._deadlines.progress_s, look)

    def _watch_answer(self) -> None:
        """Look again after a stretch whether the client has taken enough of what is written."""
        written = self.transport.get_write_buffer_size()
        if self._answer is not None or not written:
            return

        def look() -> None:
            self._answer = None
            if 0 < self.transport.get_write_buffer_size() > written - LEAST_BYTES:
                self._hang_up()
            else:
                self._watch_answer()

        self._answer = self.loop.call_later(self._deadlines.progress_s, look)

    def _hang_up(self) -> None:
        self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
