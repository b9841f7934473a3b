"""One limit over everything that one exchange waits for."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class TimeLimit:
    """Ends an exchange from outside: when the time is over, whatever waits on its sockets fails at once.

    A socket's own timeout begins anew with every byte, so a peer that drips would hold its sender forever. Sockets that
    were given to it are closed at the end.
    """

    def __init__(self, seconds: float) -> None:
        self._ends_s = time.monotonic() + seconds
        self._over = threading.Event()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> TimeLimit:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._timer.cancel()
        for sock in self._sockets:
            sock.close()

    def is_over(self) -> bool:
        """Return whether the sockets were cut: what was read until then is a piece."""
        return self._over.is_set()

    def watch(self, sock: socket.socket) -> None:
        """Cut this socket too, and let no single call on it take longer than what is left.

        Raises:
            TimeoutError: nothing is left.
        """
        self._sockets.append(sock)
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0 or self.is_over():
            raise TimeoutError
        sock.settimeout(left_s)

    def _cut(self) -> None:
        self._over.set()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):  # it may have ended by itself just now
                sock.shutdown(socket.SHUT_RDWR)  # close() alone would leave a blocked read waiting
