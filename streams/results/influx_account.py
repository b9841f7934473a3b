"""The account of an InfluxDB 1.x: whether it takes a password, and a new password for it."""

from __future__ import annotations

import urllib3

from contracts.errors import ConfigurationError, Permanent, Transient
from contracts.secrets import Secret
from streams.results.influx import TIMEOUT_S, InfluxCredentials, away, headers_of, tls_of
from streams.results.influx_url import InfluxAddress
from system.tls import TlsFiles


class InfluxAccount:
    """One user of one server.

    Args:
        administrator: who may change the password of ``user``; None: that user.
    """

    def __init__(
        self, address: InfluxAddress, user: str, files: TlsFiles, administrator: InfluxCredentials | None = None
    ) -> None:
        self._address, self._user, self._files = address, user, files
        self._administrator = administrator
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_S, ssl_context=tls_of(files))

    @property
    def where(self) -> str:
        """The server and the user as a person knows them."""
        return f"InfluxDB at {self._address.base}, account {self._user}"

    def takes(self, password: Secret) -> bool:
        """Return whether the server takes this password.

        Raises:
            ConfigurationError: it asks for none. Transient: it does not answer.
        """
        if self._ask("SHOW DATABASES", InfluxCredentials())[0] == 200:
            raise ConfigurationError(f"{self.where}: the server asks for no password: there is none to exchange")
        status, said = self._ask("SHOW DATABASES", InfluxCredentials(user=self._user, password=password))
        if status not in {200, 401}:
            raise Transient(f"{self.where} answered {status}: {said}")
        return status == 200

    def change(self, present: Secret, new: Secret) -> None:
        """Give the account another password.

        Raises:
            ConfigurationError: the administrator, or the account without one, may not. Permanent: it is refused.
            Transient: the server does not answer; whether it is changed is not known.
        """
        by = self._administrator or InfluxCredentials(user=self._user, password=present)
        user, password = (text.replace("\\", "\\\\") for text in (self._user, new.reveal()))
        quoted = user.replace('"', '\\"'), password.replace("'", "\\'")
        status, said = self._ask("SET PASSWORD FOR \"{}\" = '{}'".format(*quoted), by)
        if status in {401, 403}:
            remedy = "name a file with an administrator's user:password in --admin-file"
            raise ConfigurationError(f"{self.where}: {by.user} may not change the password ({said}); {remedy}")
        if status != 200 or "error" in said:
            raise Permanent(f"{self.where} refuses another password: {status} {said}")

    def close(self) -> None:
        """Close every connection."""
        self._pool.clear()

    def _ask(self, statement: str, by: InfluxCredentials) -> tuple[int, str]:
        """Return status and beginning of an answer. The statement is in the body: addresses are written into logs."""
        try:
            answer = self._pool.request(
                "POST",
                f"{self._address.base}/query",
                fields={"q": statement},
                headers=headers_of(by),
                encode_multipart=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise away(self._address, self._files, error) from None
        return answer.status, " ".join(answer.data.decode(errors="replace").split())[:200]
