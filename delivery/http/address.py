"""Which addresses a receiver may have. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from contracts.errors import ConfigurationError
from contracts.secret_urls import shown_url

REMEDY = "use https or set allow_http"
"""What a table of settings with the key ``allow_http`` can do about plain ``http``."""


def parse_address(url: str, *, allow_http: bool = False, remedy: str = REMEDY) -> SplitResult:
    """Return the parts of a usable address: ``https``, or plain ``http`` to loopback or where it is allowed.

    Args:
        url: the address.
        allow_http: whether plain ``http`` may go to other hosts too.
        remedy: what whoever wrote the address can do where it may not.

    Raises:
        ConfigurationError: it cannot be used; shows neither user nor query, which may hold a secret.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigurationError("url is not https://host[:port]/path") from None
    if not usable or parts.username or parts.fragment:
        raise ConfigurationError(f"url {shown(parts)!r} is not https://host[:port]/path")
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname or ""):
        raise ConfigurationError(f"url {shown(parts)!r} is not encrypted: {remedy}")
    return parts


def shown(parts: SplitResult) -> str:
    """Return an address as a message may show it: without user and password, and what a key may be of the rest.

    >>> shown(urlsplit("https://wang:secret@receiver.example/linli?key=secret"))
    'https://receiver.example/***'
    """
    return shown_url(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")[:80]


def target_of(parts: SplitResult) -> str:
    """Return what a request names: the path and the query.

    >>> target_of(urlsplit("https://receiver.example?site=s1"))
    '/?site=s1'
    """
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
