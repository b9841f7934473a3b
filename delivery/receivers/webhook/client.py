"""A webhook: POST of the message as JSON, signed, with the delivery's key as ``Idempotency-Key``.

One request per attempt, no redirects, at most 64 KiB of answer, and one limit over connecting, sending and reading
together: a peer that drips a byte a second must not hold the others up.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

import msgspec

from contracts.errors import ConfigurationError, Transient
from delivery.deliveries import Delivery
from delivery.receiver import Receipt, ReceiptBody, raise_for_status
from delivery.receivers.webhook.signature import NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SignedRequest, sign

_MAX_ANSWER = 64 * 1024
_MAX_RETRY_AFTER_S = 24 * 3600.0
MIN_SECRET_BYTES = 16


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    retry_after: str | None
    body: bytes


class Webhook:
    """The webhook receiver.

    Args:
        url: ``https://…``; plain ``http://`` only to loopback, or with ``allow_http`` inside a private network.
        secret: at least 16 bytes, shared with the receiver.
        timeout_s: for the whole attempt.

    Raises:
        ConfigurationError: when the URL or the secret cannot be used.
    """

    def __init__(
        self,
        name: str,
        url: str,
        secret: bytes,
        *,
        timeout_s: float = 10.0,
        allow_http: bool = False,
        now_s: Callable[[], float] = time.time,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._name = name
        self._url = _parsed(name, url, allow_http=allow_http)
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigurationError(f"receiver {name}: secret of {len(secret)} bytes, at least {MIN_SECRET_BYTES}")
        self._secret = secret
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._ssl = ssl_context

    @property
    def name(self) -> str:
        """See :class:`delivery.receiver.Receiver`."""
        return self._name

    def send(self, delivery: Delivery) -> Receipt:
        """See :class:`delivery.receiver.Receiver`."""
        answer = self._exchange(self._headers(delivery), delivery.payload)
        raise_for_status(answer.status, retry_after_s(answer.retry_after))
        return read_receipt(answer.body, delivery.delivery_id)

    @property
    def _path(self) -> str:
        return (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        request = SignedRequest(
            timestamp=str(int(self._now_s())),
            nonce=secrets.token_hex(16),
            method="POST",
            path=self._path,
            body=delivery.payload,
        )
        return {
            "Content-Type": "application/json",
            "User-Agent": "linli",
            "Connection": "close",
            "Idempotency-Key": delivery.delivery_id,
            TIMESTAMP_HEADER: request.timestamp,
            NONCE_HEADER: request.nonce,
            SIGNATURE_HEADER: sign(self._secret, request),
        }

    def _exchange(self, headers: dict[str, str], body: bytes) -> Answer:
        connection = self._connection()
        over, sockets = threading.Event(), list[socket.socket]()
        guard = threading.Timer(self._timeout_s, _cut, (connection, sockets, over))
        guard.daemon = True
        guard.start()
        try:
            connection.connect()
            sockets.append(connection.sock)  # the connection forgets it when the answer says "close"
            connection.request("POST", self._path, body=body, headers=headers)
            with connection.getresponse() as response:
                answer = Answer(response.status, response.getheader("Retry-After"), response.read(_MAX_ANSWER))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Transient(f"{type(error).__name__} after at most {self._timeout_s:g} s") from None
        finally:
            guard.cancel()
            connection.close()
        if over.is_set():  # the socket was cut while reading: what came is a piece
            raise Transient(f"answer not complete after at most {self._timeout_s:g} s")
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        context = self._ssl or ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)


def read_receipt(body: bytes, delivery_id: str) -> Receipt:
    """What a successful answer's body says: nothing, or the key that was sent, is a receipt; anything else is not.

    >>> read_receipt(b"", "k1"), read_receipt(b"<html>", "k1")
    (<Receipt.CONFIRMED: 'confirmed'>, <Receipt.UNREADABLE: 'unreadable'>)
    """
    if not body.strip():
        return Receipt.CONFIRMED
    try:
        receipt = msgspec.json.decode(body, type=ReceiptBody)
    except (msgspec.DecodeError, RecursionError):
        return Receipt.UNREADABLE
    return Receipt.CONFIRMED if receipt.delivery_id == delivery_id else Receipt.UNREADABLE


def retry_after_s(header: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header, at most a day; None for none, a date or nonsense.

    >>> retry_after_s("120"), retry_after_s("soon"), retry_after_s("-1")
    (120.0, None, None)
    """
    if header is None or not header.strip().isascii() or not header.strip().isdigit():
        return None
    return min(float(header), _MAX_RETRY_AFTER_S)


def _parsed(name: str, url: str, *, allow_http: bool) -> SplitResult:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.fragment:
        raise ConfigurationError(f"receiver {name}: url {url[:80]!r} is not https://host[:port]/path")
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname or ""):
        raise ConfigurationError(f"receiver {name}: {url[:80]!r} is not encrypted; use https or set allow_http")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cut(connection: http.client.HTTPConnection, sockets: list[socket.socket], over: threading.Event) -> None:
    """End the attempt from outside: whatever call is waiting on the socket fails at once."""
    over.set()
    for sock in (connection.sock, *sockets):
        if sock is not None:
            with contextlib.suppress(OSError):  # it may have ended by itself just now
                sock.shutdown(socket.SHUT_RDWR)  # close() alone would leave a blocked read waiting
