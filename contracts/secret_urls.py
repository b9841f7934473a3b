"""URLs that may hold a password, a token or a key: whatever prints one prints it without. Pure."""

from __future__ import annotations

import re

from contracts.secrets import HIDDEN

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HARMLESS = {"version", "org", "rp", "tls", "sslmode", "application_name", "connect_timeout"}
"""Keys of a query whose values people may see."""
_KNOWN = {"mqtt", "mqtts", "kafka", "postgresql", "influx"}
"""Whose paths name no secret. Every other one is taken for a web address, also a misspelt one."""


class SecretUrl(str):
    """A text like any other, but ``str``, ``repr`` and formatting show it without what is secret in it.

    Whoever connects gives it on as it is, or takes it apart; :meth:`reveal` is for a text that is put together with it.
    """

    __slots__ = ()

    def reveal(self) -> str:
        """Return the text itself."""
        return str.__str__(self)

    def __str__(self) -> str:
        return shown_url(self.reveal())

    def __repr__(self) -> str:
        return repr(str(self))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def shown_url(text: str) -> str:
    """Return a URL, or what somebody has written for one, as people may see it.

    Everything up to the last ``@`` counts as user and password: a password may hold any character by mistake. Of a web
    address only the host is shown, for its path or query may be the key. A path of SQLite is shown as it is.

    >>> shown_url("mqtt://ingest:tu/l?p@broker:1883"), shown_url("https://robot.example/send?key=tulip")
    ('mqtt://ingest:***@broker:1883', 'https://robot.example/***?***')
    """
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() == "sqlite":
        return text
    user, at, address = (rest if mark else text).rpartition("@")
    address, number, _fragment = address.partition("#")
    place, question, query = address.partition("?")
    web = scheme.lower() not in _KNOWN
    if web:
        host, slash, path = place.partition("/")
        place, query = host + slash + (HIDDEN if path else ""), HIDDEN
    shown = _user(user, web=web) + at + place + (question and question + _query(query))
    return (f"{scheme}://" if mark else "") + shown + (number and f"#{HIDDEN}")


def _user(user: str, *, web: bool) -> str:
    """Return who somebody is, without their password; a web address' user alone may be a token."""
    name, colon, _password = user.partition(":")
    named = _NAME.fullmatch(name) is not None and (bool(colon) or not web)
    return (name if named else HIDDEN if user else "") + (f":{HIDDEN}" if colon and named else "")


def _query(query: str) -> str:
    """Return the names of a query, with the values that are harmless."""
    pairs = [part.partition("=") for part in query.split("&")]
    return "&".join(
        f"{name}={value if name in _HARMLESS else HIDDEN}" if equals and _NAME.fullmatch(name) else HIDDEN
        for name, equals, value in pairs
    )
