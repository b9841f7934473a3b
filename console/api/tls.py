"""TLS in front of the console's HTTP, counted and bounded before its handshake as HTTP is after it.

uvicorn's own TLS counts a connection once its handshake is done, and waits a minute for it: strangers who connect and
say nothing would take the files of the process. asyncio's protocol is not documented as a class to inherit from; what
is used here is its constructor and what every protocol has.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any

from console.api.connections import BoundedProtocol, ConnectionLimits, Deadlines

_MANY = 1 << 30
_GOODBYE_S = 2.0
"""How long a client may take to say goodbye."""


class BoundedTls(SSLProtocol):
    """TLS of one connection.

    Args:
        context: what we show.
        limits: how many connections there may be, from the first byte on.
        deadlines: the handshake has as long as a head.
        inner: what speaks behind it; does not count.
    """

    def __init__(
        self, context: ssl.SSLContext, limits: ConnectionLimits, deadlines: Deadlines, inner: BoundedProtocol
    ) -> None:
        super().__init__(
            inner.loop,
            inner,
            context,
            None,  # type: ignore[arg-type]  # nobody waits for the handshake, as in asyncio's own servers
            server_side=True,
            ssl_handshake_timeout=deadlines.head_s,  # type: ignore[arg-type]  # seconds, with a fraction
            ssl_shutdown_timeout=_GOODBYE_S,
        )
        self._limits = limits
        self._entered: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, or hang up where there are too many."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if self._limits.enter(address):
            self._entered = address
            super().connection_made(transport)
        else:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        if self._entered is not None:
            self._limits.leave(self._entered)
            self._entered = None
        super().connection_lost(exc)


def tls_protocol(
    context: ssl.SSLContext, limits: ConnectionLimits, deadlines: Deadlines, **of_server: Any
) -> BoundedTls:
    """Return a connection's TLS with HTTP behind it, as uvicorn makes a protocol."""
    inner = BoundedProtocol(ConnectionLimits(_MANY, _MANY), deadlines, **of_server)
    return BoundedTls(context, limits, deadlines, inner)
