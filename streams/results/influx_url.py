"""``influx://`` URLs: which InfluxDB, where, and what in it. Pure."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from contracts.errors import ConfigurationError
from contracts.secret_urls import shown_url

FORM = "influx://HOST[:PORT]/DATABASE[?version=1|2|3&org=ORG&rp=POLICY&tls=true|false]"
_PORTS = {1: 8086, 2: 8086, 3: 8181}
_KNOWN = {"version", "org", "rp", "tls"}


class InfluxAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An InfluxDB: ``database`` is a 1.x database, a 2.x bucket or a 3 Core database.

    ``version`` 1 writes to ``/write`` (any 1.x), 2 and 3 to ``/api/v2/write``; all are read by ``/query``. ``org`` is
    for 2.x alone, ``retention_policy`` for 1.x ("" its default).
    """

    host: str
    port: int
    database: str
    version: int = 2
    org: str = ""
    retention_policy: str = ""
    tls: bool = False

    @property
    def base(self) -> str:
        """The address of its HTTP API."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def parse_influx(url: str) -> InfluxAddress:
    """Return the parts of an ``influx://`` URL.

    >>> parse_influx("influx://127.0.0.1/linli?version=1").base
    'http://127.0.0.1:8086'

    Raises:
        ConfigurationError: naming what is wrong and the form expected.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise _wrong(url, "its port is no number") from None
    query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    version = query.get("version", "2")
    database = unquote(parts.path.strip("/"))
    if parts.scheme != "influx" or not parts.hostname:
        raise _wrong(url, "it names no host")
    if parts.username or parts.password:
        raise _wrong(url, "credentials do not belong in it: use results.token_file or results.password_file")
    if not database or "/" in database:
        raise _wrong(url, "it names no database (2.x: bucket)")
    if version not in {"1", "2", "3"}:
        raise _wrong(url, f"version {version!r} is not 1, 2 or 3")
    if query.get("tls", "false") not in {"true", "false"}:
        raise _wrong(url, f"tls={query['tls']!r} is neither true nor false")
    if set(query) - _KNOWN:
        raise _wrong(url, f"{sorted(set(query) - _KNOWN)[0]!r} is not known")
    if version == "2" and not query.get("org"):
        raise _wrong(url, "InfluxDB 2 needs org=…")
    return InfluxAddress(
        host=parts.hostname,
        port=port or _PORTS[int(version)],
        database=database,
        version=int(version),
        org=query.get("org", ""),
        retention_policy=query.get("rp", ""),
        tls=query.get("tls") == "true",
    )


def _wrong(url: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"results.url {shown_url(url)!r}: {why}; expected {FORM}")
