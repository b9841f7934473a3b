"""Who really asks, where a proxy stands before the console. Plain ASGI, so streams stay streams.

Only what a proxy of the settings says is believed, from the nearest hop to the first one that is no such proxy; what
stands further left in ``X-Forwarded-For`` the client may have written itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forwarded:
    """The middleware: puts the client's own address, and the scheme it used, into the scope.

    Args:
        proxies: networks of the proxies before this console.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[Network]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        peer = scope["client"][0] if scope.get("client") else ""
        if scope["type"] == "http" and is_proxy(peer, self._proxies):
            headers = Headers(scope=scope)
            address = client_address(peer, headers.getlist("x-forwarded-for"), self._proxies)
            scheme = ",".join(headers.getlist("x-forwarded-proto")).rpartition(",")[2].strip().lower()
            scope = {**scope, "client": (address, 0)}
            if scheme in {"http", "https"}:
                scope["scheme"] = scheme
        await self._app(scope, receive, send)


def networks_of(proxies: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that ``proxies`` (``127.0.0.1``, ``10.0.0.0/8``) name. Raise ValueError for anything else."""
    return tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)


def is_proxy(address: str, proxies: Sequence[Network]) -> bool:
    """Return whether ``address`` is one of the proxies."""
    ip = _parsed(address)
    return ip is not None and any(ip in proxy for proxy in proxies)


def client_address(peer: str, forwarded_for: Sequence[str], proxies: Sequence[Network]) -> str:
    """Return the address of whoever asks: the nearest hop that is no proxy.

    Args:
        peer: the other end of the connection, a proxy.
        forwarded_for: the values of every ``X-Forwarded-For`` header, in order.

    >>> client_address("10.0.0.1", ["192.0.2.9, 198.51.100.7, 10.0.0.2"], networks_of(["10.0.0.0/8"]))
    '198.51.100.7'
    """
    found = peer
    for text in reversed(",".join(forwarded_for).split(",")):
        ip = _parsed(_without_port(text.strip()))
        if ip is None:
            break  # nothing, or nothing that a proxy writes: the hop that passed it on is as far as we know
        found = str(ip)
        if not any(ip in proxy for proxy in proxies):
            break
    return found


def _parsed(text: str) -> Address | None:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


def _without_port(text: str) -> str:
    """Return ``192.0.2.7:1234`` and ``[2001:db8::1]:1234`` without brackets and port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
