"""What the value of a setting can be: how its text is read, how it is shown, and what a relative path in it lies under.

A file and the environment both give texts; a kind turns one into a typed value or says what it expected. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from contracts.errors import ConfigurationError
from contracts.names import is_id
from contracts.secret_urls import SecretUrl, shown_url
from contracts.secrets import HIDDEN
from streams.results.influx_url import parse_influx

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
SQLITE = "sqlite:///"
OFF = "off"
_MOST_DAYS = 36_500


def _as_it_is(value: T, _folder: Path) -> T:
    return value


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """One kind of value.

    Args:
        parse: the value of a text. Raises ValueError saying what was expected.
        text: the text of a value; parsed it gives the value again.
        under: the value with relative paths in it under a folder.
        hide: a text as people may see it: without what is secret in it.
    """

    parse: Callable[[str], T]
    text: Callable[[T], str] = str
    under: Callable[[T, Path], T] = _as_it_is
    hide: Callable[[str], str] = str


def revealed(url: str) -> str:
    """Return the text of a URL with what is secret in it: for reading it anew, not for people."""
    return str.__str__(url)


def whole(low: int, high: int) -> Kind[int]:
    """Return the kind of whole numbers from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number {low}–{high}")
        return int(text)

    return Kind(parse)


def choice(kind: type[E]) -> Kind[E]:
    """Return the kind of the values of an enumeration."""

    def parse(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"expected one of {', '.join(kind)}") from None

    return Kind(parse)


def some_of(kind: type[E]) -> Kind[tuple[E, ...]]:
    """Return the kind of some values of an enumeration, at least one, with commas between them."""

    def parse(text: str) -> tuple[E, ...]:
        try:
            return tuple(dict.fromkeys(kind(part.strip()) for part in text.split(",")))
        except ValueError:
            raise ValueError(f"expected some of {', '.join(kind)}, with commas") from None

    return Kind(parse, ",".join)


def url(*schemes: str) -> Kind[str]:
    """Return the kind of URLs with one of these schemes."""
    return Kind(lambda text: SecretUrl(_with_scheme(text, schemes)), revealed, hide=shown_url)


def optional(kind: Kind[str]) -> Kind[str]:
    """Return the kind that may be empty as well."""
    return msgspec.structs.replace(kind, parse=lambda text: kind.parse(text) if text else "")


def sqlite_or(*schemes: str, parse: Callable[[str], str] = str) -> Kind[str]:
    """Return the kind of ``sqlite:///PATH`` and of URLs with one of these schemes, which ``parse`` may look at too."""

    def parse_any(text: str) -> str:
        if text.startswith("sqlite:"):
            if not text.startswith(SQLITE) or text == SQLITE:
                raise ValueError("expected sqlite:///PATH")
            return SecretUrl(text)
        return SecretUrl(parse(_with_scheme(text, ("sqlite", *schemes))))

    return Kind(parse_any, revealed, _url_under, shown_url)


def no_password(text: str) -> str:
    """Return a URL that has no password in it. Raise ValueError saying where it belongs."""
    user, at, _ = text.partition("://")[2].rpartition("@")
    if at and ":" in user:
        raise ValueError("expected no password in the URL: put it into a file and name that in password_file")
    return text


def influx(text: str) -> str:
    """Return the URL of an InfluxDB. Raise ValueError saying what is wrong with it."""
    try:
        parse_influx(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return text


def _with_scheme(text: str, schemes: Iterable[str]) -> str:
    if not any(text.startswith(f"{scheme}://") for scheme in schemes):
        raise ValueError(f"expected a URL with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if shown_url(text).endswith(f"://{HIDDEN}"):  # what nobody can take apart is shown by whoever tries
        raise ValueError("expected scheme://host[:port], and no spaces")
    return text


def _url_under(text: str, folder: Path) -> str:
    return SecretUrl(f"{SQLITE}{folder / text.removeprefix(SQLITE)}") if text.startswith(SQLITE) else text


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("expected true or false")
    return text == "true"


def _path(text: str) -> Path:
    if not text or "\x00" in text:
        raise ValueError("expected a path")
    return Path(text)


def _path_under(path: Path, folder: Path) -> Path:
    return folder / path


def _optional_path_under(path: Path | None, folder: Path) -> Path | None:
    return None if path is None else folder / path


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65_535:
        raise ValueError("expected a port, 0–65535 (0: any free one)")
    return int(text)


def _port_or_off(text: str) -> int | None:
    try:
        return None if text == OFF else _port(text)
    except ValueError:
        raise ValueError("expected off, or a port, 0–65535 (0: any free one)") from None


def _ids(text: str) -> tuple[str, ...]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not all(map(is_id, names)):
        raise ValueError("expected ids with commas")
    return tuple(names)


def _networks(text: str) -> tuple[str, ...]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    try:
        for name in names:
            ipaddress.ip_network(name, strict=False)
    except ValueError:
        raise ValueError("expected addresses or networks, such as 127.0.0.1, 10.0.0.0/8, with commas") from None
    return tuple(names)


def _site_days(text: str) -> Mapping[str, int]:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    days = {site: int(number) for site, _, number in pairs if is_id(site) and re.fullmatch(r"[0-9]{1,5}", number)}
    if len(days) != len(pairs) or not all(1 <= number <= _MOST_DAYS for number in days.values()):
        raise ValueError(f"expected SITE=DAYS with commas, each site once, days 1–{_MOST_DAYS}")
    return days


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,60}", text):
        raise ValueError("expected small letters, digits, . _ and -")
    return text


TEXT: Kind[str] = Kind(str)
TRUTH: Kind[bool] = Kind(_truth, lambda value: "true" if value else "false")
PATH: Kind[Path] = Kind(_path, under=_path_under)
OPTIONAL_PATH: Kind[Path | None] = Kind(
    lambda text: _path(text) if text else None,
    lambda path: "" if path is None else str(path),
    _optional_path_under,
)
PORT: Kind[int] = Kind(_port)
PORT_OR_OFF: Kind[int | None] = Kind(_port_or_off, lambda port: OFF if port is None else str(port))
IDS: Kind[tuple[str, ...]] = Kind(_ids, ",".join)
NETWORKS: Kind[tuple[str, ...]] = Kind(_networks, ",".join)
SITE_DAYS: Kind[Mapping[str, int]] = Kind(
    _site_days, lambda days: ",".join(f"{site}={number}" for site, number in days.items())
)
PREFIX: Kind[str] = Kind(_prefix)
DATABASE: Kind[str] = sqlite_or("postgresql", parse=no_password)
