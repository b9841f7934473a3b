"""A server on loopback that does what scripts say, and keeps what it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Sequence
from types import TracebackType

from delivery.conformance.moves import HOLD_S, PeerSide, Script

_HOST = "127.0.0.1"


class HostilePeer:
    """Plays the first script to the first connection, and so on, and the last one to all that follow.

    Args:
        accepted: see :class:`delivery.conformance.moves.PeerSide`.
        elsewhere: an address to redirect to.
        tls: what the server side of TLS shows; None for plain connections.
        takes: whether connections are taken at all, or left to wait until they give up.

    Attributes:
        requests: what was read of each connection that said anything, as bytes.
        sent: bytes, over all connections.
    """

    def __init__(
        self,
        *scripts: Script,
        accepted: bytes = b"",
        elsewhere: str = "",
        tls: ssl.SSLContext | None = None,
        takes: bool = True,
    ) -> None:
        self._scripts: Sequence[Script] = scripts
        self._accepted, self._elsewhere, self._tls = accepted, elsewhere, tls
        self._stopping = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.requests: list[bytes] = []
        self.sent = 0
        self._listener = socket.create_server((_HOST, 0), backlog=128 if takes else 0)
        self.port = int(self._listener.getsockname()[1])
        if takes:
            self._start(self._listen)
        else:
            self._fill_queue()

    def __enter__(self) -> HostilePeer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening, end every connection, and wait for the scripts to end."""
        self._stopping.set()
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(HOLD_S)
        for sock in (self._listener, *self._open):
            sock.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        nth = 0
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            self._start(self._play, sock, self._scripts[min(nth, len(self._scripts) - 1)])
            nth += 1

    def _play(self, sock: socket.socket, script: Script) -> None:
        with contextlib.suppress(OSError), self._secured(sock) as connection:  # the other side may have left
            side = PeerSide(connection, self._accepted, self._elsewhere, self._stopping)
            try:
                for move in script:
                    move(side)
                    self._keep(side)
            finally:
                self.sent += side.sent

    def _keep(self, side: PeerSide) -> None:
        if side.request:
            self.requests.append(side.request)
            side.request = b""

    def _secured(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(HOLD_S)
        if self._tls is None:
            return sock
        secured = self._tls.wrap_socket(sock, server_side=True)
        self._open.append(secured)
        return secured

    def _fill_queue(self) -> None:
        """Take the places of the queue, so that whoever connects now waits."""
        for _ in range(4):
            sock = socket.socket()
            sock.settimeout(0)
            sock.connect_ex((_HOST, self.port))
            self._open.append(sock)
