"""One bounded exchange with a receiver: a connection a request, TLS checked, no redirect followed.

One limit stands over connecting, the TLS handshake, sending and reading together, and at most 64 KiB of an answer are
read: neither a peer that drips a byte a second nor one that never ends may hold the others up. Looking up the name is
the system's and has the system's own limit (``resolv.conf``).
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult

import msgspec

from contracts.errors import ConfigurationError, Transient
from delivery.http.address import target_of
from delivery.http.time_limit import TimeLimit
from system.certificates import said_of

LONGEST_ANSWER = 64 * 1024


class HttpResponse(msgspec.Struct, frozen=True):
    """What came back. ``complete``: the body ended where the peer had said, and before our own bound."""

    status: int
    retry_after: str | None
    body: bytes
    complete: bool


class HttpPeer:
    """The other side of one address.

    Args:
        address: as :func:`delivery.http.address.parse_address` gives it.
        timeout_s: for a whole exchange.
        ca_file: certificates of a private authority (None: the system's).

    Raises:
        ConfigurationError: ``ca_file`` cannot be read.
    """

    def __init__(self, address: SplitResult, *, timeout_s: float, ca_file: Path | None = None) -> None:
        self._address = address
        self._host = address.hostname or ""
        self._timeout_s = timeout_s
        self._tls = _tls_context(ca_file) if address.scheme == "https" else None

    def post(self, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Send one ``POST`` and return its answer, whatever its status.

        Raises:
            Transient: there was none in time, or nothing that is HTTP; names the error, never what the peer said.
        """
        with TimeLimit(self._timeout_s) as limit:
            connection = self._connection()
            try:
                connection.sock = self._connected(limit)
                connection.request("POST", target_of(self._address), body=body, headers=dict(headers))
                with connection.getresponse() as response:
                    answer = _read(response)
            except (OSError, http.client.HTTPException, ValueError) as error:
                what = said_of(error) or f"{type(error).__name__} after at most {self._timeout_s:g} s"
                raise Transient(what) from None
            finally:
                connection.close()
        if limit.is_over():
            raise Transient(f"answer not complete after at most {self._timeout_s:g} s")
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        port = self._address.port
        if self._tls is None:
            return http.client.HTTPConnection(self._host, port)
        return http.client.HTTPSConnection(self._host, port, context=self._tls)

    def _connected(self, limit: TimeLimit) -> socket.socket:
        sock = self._reached(limit)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return sock
        secured = self._tls.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
        limit.watch(secured)
        secured.do_handshake()
        return secured

    def _reached(self, limit: TimeLimit) -> socket.socket:
        """Return a connection to the first address of the host that takes one."""
        port = self._address.port or (http.client.HTTP_PORT if self._tls is None else http.client.HTTPS_PORT)
        refused: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM):
            try:
                sock = socket.socket(family, kind, protocol)
                limit.watch(sock)
                sock.connect(address)
            except OSError as error:
                refused = error
            else:
                return sock
        raise refused


def _read(response: http.client.HTTPResponse) -> HttpResponse:
    body = response.read(LONGEST_ANSWER)
    # ``length`` is what the peer still owes; reading a piece raises nothing by itself.
    complete = not response.length and len(body) < LONGEST_ANSWER
    return HttpResponse(response.status, response.getheader("Retry-After"), body, complete)


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file = {str(ca_file)!r} cannot be used: {type(error).__name__}") from None
