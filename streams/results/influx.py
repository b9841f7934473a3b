"""InfluxDB 1.x, 2.x and 3 Core: the one file that imports influxdb-client, and a writer for what that does not serve.

2.x and 3 are written through influxdb-client, in its synchronous mode (its batching gives up after 180 s, the spool
never). 1.x is written to ``/write``, which every 1.x has and 1.8 alone has beside the newer address. All are read by
``/query``. Nothing is tried twice here: the sender decides what an answer means.
"""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlencode

import msgspec
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from contracts.errors import ConfigurationError, LinliError, Permanent, Transient
from contracts.secrets import Secret
from streams.results.answers import failure_of
from streams.results.influx_url import InfluxAddress
from streams.results.influxql import QueryResponse, rows_of, text_of
from streams.results.lines import lines_of
from streams.results.points import Point
from streams.results.query import Query, ResultRow
from system.certificates import said_of
from system.clock import wall_ms
from system.tls import TlsFileError, TlsFiles, client_context

TIMEOUT_S = 10.0  # an order to stop waits for it
_ANSWER = msgspec.json.Decoder(QueryResponse)
_NONE = Secret("")


class InfluxCredentials(msgspec.Struct, frozen=True):
    """A token (2.x, 3), or user and password (1.x); empty where the server asks for none."""

    token: Secret = _NONE
    user: str = ""
    password: Secret = _NONE


class _Writer(Protocol):
    def post(self, body: bytes) -> LinliError | None: ...

    def close(self) -> None: ...


class Influx:
    """A :class:`streams.results.target.PointStore` that also answers queries. Connects when used."""

    def __init__(
        self,
        address: InfluxAddress,
        credentials: InfluxCredentials,
        files: TlsFiles | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._files = files or TlsFiles(table="results")
        tls = tls_of(self._files)
        self._pool = urllib3.PoolManager(
            retries=False, timeout=timeout_s, headers=headers_of(credentials), ssl_context=tls
        )
        if address.version == 1:
            self._writer: _Writer = _LineWriter(address, self._pool)
        else:
            self._writer = _ClientWriter(address, credentials, tls, timeout_s)
        self._made = address.version != 1

    def write(self, points: Sequence[Point]) -> None:
        """See :class:`streams.results.target.PointStore`."""
        try:
            self._make_database()
            failure = self._writer.post(lines_of(points))
        except urllib3.exceptions.HTTPError as error:
            raise self._away(error) from None
        if failure is not None:
            raise failure

    def select(self, query: Query) -> list[ResultRow]:
        """See :class:`streams.results.query.ResultsStore`."""
        return rows_of(query, self.ask(text_of(query)))

    def ask(self, statement: str) -> QueryResponse:
        """Return the answer to an InfluxQL statement, times in epoch ms.

        Raises:
            Transient: the server is away or busy.
            Permanent: it refuses the statement.
        """
        fields = {"db": self._address.database, "epoch": "ms", "q": statement}
        if self._address.retention_policy:
            fields["rp"] = self._address.retention_policy
        try:
            answer = self._pool.request("GET", f"{self._address.base}/query", fields=fields)
        except urllib3.exceptions.HTTPError as error:
            raise self._away(error) from None
        failure = _failure(answer.status, answer.data, answer.headers)
        if failure is not None:
            raise failure
        found = _ANSWER.decode(answer.data)
        wrong = found.error or next((result.error for result in found.results if result.error), "")
        if wrong.startswith("database not found"):  # the first write makes it
            return QueryResponse()
        if wrong:
            raise Permanent(f"InfluxDB refuses {statement[:200]!r}: {wrong}")
        return found

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()
        self._pool.clear()

    def _make_database(self) -> None:
        """Create the database: 1.x has no other way. A user who may not is told so by the write, if there is none."""
        if self._made:
            return
        name = self._address.database.replace("\\", "\\\\").replace('"', '\\"')
        answer = self._pool.request("POST", f"{self._address.base}/query", fields={"q": f'CREATE DATABASE "{name}"'})
        self._made = answer.status < 500

    def _away(self, error: Exception) -> Transient:
        return away(self._address, self._files, error)


class _LineWriter:
    """``/write`` of InfluxDB 1.x: line protocol, compressed."""

    def __init__(self, address: InfluxAddress, pool: urllib3.PoolManager) -> None:
        self._pool = pool
        self._url = f"{address.base}/write?{_query(address)}"

    def post(self, body: bytes) -> LinliError | None:
        headers = {**self._pool.headers, "Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        answer = self._pool.request("POST", self._url, body=gzip.compress(body, 5), headers=headers)
        return _failure(answer.status, answer.data, answer.headers)

    def close(self) -> None:
        """Do nothing: the connections are the pool's."""


class _ClientWriter:
    """``/api/v2/write`` of InfluxDB 2.x and 3 through influxdb-client."""

    def __init__(
        self, address: InfluxAddress, credentials: InfluxCredentials, tls: ssl.SSLContext, timeout_s: float
    ) -> None:
        self._bucket = address.database
        self._org = address.org or "-"  # 3 Core has none and does not look
        self._client = InfluxDBClient(
            url=address.base,
            token=credentials.token.reveal() or "-",
            org=self._org,
            enable_gzip=True,
            timeout=int(timeout_s * 1000),
            retries=False,
            ssl_context=tls,
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def post(self, body: bytes) -> LinliError | None:
        try:
            self._api.write(bucket=self._bucket, org=self._org, record=body)
        except ApiException as error:
            if isinstance(error.__context__, urllib3.exceptions.SSLError):  # it has kept the reason to its text
                raise error.__context__ from None
            said = error.body if error.body is not None else str(error.reason)
            return _failure(int(error.status or 0), said, error.headers or {})
        return None

    def close(self) -> None:
        """Close its connections."""
        self._api.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]


def away(address: InfluxAddress, files: TlsFiles, error: Exception) -> Transient:
    """Return that the server does not answer, and what is wrong with its certificate if that is why."""
    causes = (cause for cause in error.args if isinstance(cause, Exception))
    said = next(filter(None, (said_of(cause, files.setting("ca_file")) for cause in causes)), "")
    return Transient(f"InfluxDB at {address.base} does not answer: {said or type(error).__name__}")


def tls_of(files: TlsFiles) -> ssl.SSLContext:
    """Return what TLS is spoken with. Raise ConfigurationError where a file cannot be used."""
    try:
        return client_context(files)
    except TlsFileError as error:
        raise ConfigurationError(str(error)) from None


def _failure(status: int, body: bytes | str, headers: Mapping[str, str]) -> LinliError | None:
    text = body if isinstance(body, str) else body.decode(errors="replace")
    return failure_of(status, text, headers.get("Retry-After"), wall_ms())


def headers_of(credentials: InfluxCredentials) -> dict[str, str]:
    """Return the headers that prove us; none for nobody."""
    if credentials.token:
        return {"Authorization": f"Token {credentials.token.reveal()}"}
    if credentials.user:
        return dict(urllib3.make_headers(basic_auth=f"{credentials.user}:{credentials.password.reveal()}"))
    return {}


def _query(address: InfluxAddress) -> str:
    values = {"db": address.database, "precision": "ns"}
    if address.retention_policy:
        values["rp"] = address.retention_policy
    return urlencode(values)
