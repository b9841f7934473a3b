"""Tokens of an InfluxDB 2: another one with the same rights, and the end of the one before. By an operator's token."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.authorization import Authorization
from influxdb_client.rest import ApiException

from contracts.errors import ConfigurationError, Permanent, Transient
from contracts.secrets import Secret
from streams.results.influx import TIMEOUT_S, away, tls_of
from streams.results.influx_url import InfluxAddress
from system.tls import TlsFiles

R = TypeVar("R")

_FOLLOWS = re.compile(r" \(follows (\w+)\)$")
"""At the end of a token's description: the id of the token that it was made to follow."""
_SEEN = {401: "does not take", 403: "does not allow this to"}


class InfluxTokens:
    """The tokens of one server.

    Args:
        operator: a token that may read, make and delete tokens.
    """

    def __init__(self, address: InfluxAddress, files: TlsFiles, operator: Secret) -> None:
        self._address, self._files = address, files
        self._client = InfluxDBClient(
            url=address.base,
            token=operator.reveal(),
            org=address.org,
            timeout=int(TIMEOUT_S * 1000),
            retries=False,
            ssl_context=tls_of(files),
        )
        self._api: Any = self._client.authorizations_api()  # their methods have no types

    @property
    def where(self) -> str:
        """The server as a person knows it."""
        return f"InfluxDB at {self._address.base}"

    def successor(self, present: Secret) -> Secret:
        """Return a token with the rights of ``present``: the one that was made to follow it, or a new one.

        Raises:
            ConfigurationError: the operator is refused, or sees no such token. Permanent: it is refused.
            Transient: the server does not answer.
        """
        found = self._all()
        old = self._of(found, present)
        description = f"{_FOLLOWS.sub('', old.description or 'linli')} (follows {old.id})"
        made = next((one for one in found if one.description == description and one.token), None)
        if made is None:
            wanted = Authorization(  # type: ignore[no-untyped-call]
                org_id=old.org_id, permissions=old.permissions, description=description
            )
            made = self._asked(lambda: self._api.create_authorization(authorization=wanted))
        return Secret(str(made.token))

    def end_predecessor(self, new: Secret) -> bool:
        """Delete the token that ``new`` was made to follow; return whether it was still there. Raises as the above."""
        found = self._all()
        follows = _FOLLOWS.search(self._of(found, new).description or "")
        if follows is None or all(one.id != follows[1] for one in found):
            return False
        self._asked(lambda: self._api.delete_authorization(follows[1]))
        return True

    def close(self) -> None:
        """Close its connections."""
        self._client.close()  # type: ignore[no-untyped-call]

    def _all(self) -> list[Authorization]:
        return list(self._asked(lambda: self._api.find_authorizations(org=self._address.org)))

    def _of(self, found: list[Authorization], token: Secret) -> Authorization:
        for one in found:
            if one.token == token.reveal():
                return one
        raise ConfigurationError(
            f"{self.where} shows the operator no token like that of results.token_file: it is another server's, "
            "or tokens are hidden there; make one with the server's own command"
        )

    def _asked(self, ask: Callable[[], R]) -> R:
        try:
            return ask()
        except ApiException as error:
            status = int(error.status or 0)
            if status in _SEEN:
                raise ConfigurationError(f"{self.where} {_SEEN[status]} the token in --operator-token-file") from None
            failure = Permanent if 400 <= status < 500 and status != 429 else Transient
            raise failure(f"{self.where} answered {status}: {' '.join(str(error.body).split())[:200]}") from None
        except urllib3.exceptions.HTTPError as error:
            raise away(self._address, self._files, error) from None
