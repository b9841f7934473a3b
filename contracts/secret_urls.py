"""URLs that may hold a password, a token or a key: whatever prints one prints it without. Pure."""

from __future__ import annotations

import re

from contracts.secrets import HIDDEN

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}")
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[\w.%-]*)(?::[0-9]{1,5})?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*")
_PATH = re.compile(r"[\w./%~+-]*")
_VALUE = re.compile(r"[\w.%+-]*")
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
    address only the host is shown, for its path or query may be the key. A path of SQLite is shown as it is. What is
    not plainly ``scheme://host`` is hidden as a whole: nobody knows where its password stands.

    >>> shown_url("mqtt://ingest:tu/l?p@broker:1883"), shown_url("https://robot.example/send?key=tulip")
    ('mqtt://ingest:***@broker:1883', 'https://robot.example/***?***')
    >>> shown_url("host=db password=tulip"), shown_url("postgresql://db/linli password=tulip")
    ('***', 'postgresql://***')
    """
    scheme, mark, rest = text.partition("://")
    if not mark or not _SCHEME.fullmatch(scheme):
        return HIDDEN if text else ""
    if scheme.lower() == "sqlite":
        return text
    user, at, address = rest.rpartition("@")
    address, number, _fragment = address.partition("#")
    place, question, query = address.partition("?")
    web = scheme.lower() not in _KNOWN
    host, slash, path = place.partition("/")
    if not _HOSTS.fullmatch(host) or not (web or _PATH.fullmatch(path)):
        return f"{scheme}://{HIDDEN}"
    if web:
        place, query = host + slash + (HIDDEN if path else ""), HIDDEN
    shown = _user(user, web=web) + at + place + (question and question + _query(query))
    return f"{scheme}://{shown}" + (number and f"#{HIDDEN}")


def _user(user: str, *, web: bool) -> str:
    """Return who somebody is, without their password; a web address' user alone may be a token."""
    name, colon, _password = user.partition(":")
    named = _NAME.fullmatch(name) is not None and (bool(colon) or not web)
    return (name if named else HIDDEN if user else "") + (f":{HIDDEN}" if colon and named else "")


def _query(query: str) -> str:
    """Return the names of a query, with the values that are harmless."""
    return "&".join(_pair(part) for part in query.split("&"))


def _pair(part: str) -> str:
    """Return one part of a query: its name, and its value only where that is harmless and nothing else."""
    name, equals, value = part.partition("=")
    if not equals or not _NAME.fullmatch(name):
        return HIDDEN
    return f"{name}={value if name in _HARMLESS and _VALUE.fullmatch(value) else HIDDEN}"
