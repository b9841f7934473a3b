"""What a hostile peer does on one connection, move by move."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from delivery.conformance.request import missing_bytes

PEER_TEXT = "what-the-peer-said"
"""Stands in everything that the peer says of itself, and nowhere in what is said of it."""

HOLD_S = 30.0
"""How long a peer keeps quiet: longer than any attempt may take."""

LONGEST_REQUEST = 1 << 20


class PeerSide:
    """The hostile end of one connection.

    Attributes:
        accepted: the body by which this kind of receiver is told that its message was taken.
        elsewhere: the address of another server.
        request: what was read.
        sent: bytes.
    """

    def __init__(self, sock: socket.socket, accepted: bytes, elsewhere: str, stopping: threading.Event) -> None:
        self._sock = sock
        self._stopping = stopping
        self.accepted = accepted
        self.elsewhere = elsewhere
        self.request = b""
        self.sent = 0

    def read(self) -> None:
        """Read the whole request."""
        while (missing := missing_bytes(self.request)) and len(self.request) < LONGEST_REQUEST:
            piece = self._sock.recv(max(missing, 4096))
            if not piece:
                return
            self.request += piece

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(data)
        self.sent += len(data)

    def hold(self, seconds: float = HOLD_S) -> bool:
        """Keep quiet; return whether the peer is to stop."""
        return self._stopping.wait(seconds)

    def end_sending(self) -> None:
        """Close one direction: nothing more is said, but is still heard."""
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection by a reset instead of an orderly close."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


Move = Callable[[PeerSide], object]
Script = tuple[Move, ...]

read = PeerSide.read
hold = PeerSide.hold
end_sending = PeerSide.end_sending
reset = PeerSide.reset


def head(status: int, *lines: str, version: str = "HTTP/1.1") -> bytes:
    """Return a status line and headers."""
    return "\r\n".join((f"{version} {status} {PEER_TEXT}", f"Server: {PEER_TEXT}", *lines, "", "")).encode()


def answer(status: int, *lines: str, body: bytes | None = None) -> Move:
    """Answer properly; with the body of an acceptance unless another one is given."""

    def move(side: PeerSide) -> None:
        content = side.accepted if body is None else body
        side.send(head(status, f"Content-Length: {len(content)}", *lines) + content)

    return move


def redirect(status: int, *, to: str = "") -> Move:
    """Send the receiver elsewhere, or to ``to``."""

    def move(side: PeerSide) -> None:
        side.send(head(status, f"Location: {to or side.elsewhere}", "Content-Length: 0"))

    return move


def say(data: bytes) -> Move:
    """Send bytes as they are."""
    return lambda side: side.send(data)


def drip(data: bytes, every_s: float = 0.02) -> Move:
    """Send a byte at a time, over and over."""

    def move(side: PeerSide) -> None:
        while True:
            for byte in data:
                if side.hold(every_s):
                    return
                side.send(bytes((byte,)))

    return move


def flood(data: bytes, most: int = 256 << 20) -> Move:
    """Send the same as fast as the other side takes it, far beyond what anyone needs."""

    def move(side: PeerSide) -> None:
        while side.sent < most:
            side.send(data)

    return move
