"""How this district proves to Kafka who it is, and who the brokers must be. Shared by both clients of Kafka."""

from __future__ import annotations

import ssl
from contextlib import suppress
from enum import StrEnum
from typing import Any

import msgspec

from contracts.errors import ConfigurationError
from contracts.secrets import Passwords, Secret
from system.tls import TlsFileError, TlsFiles, client_context, trouble_with


class SaslMechanism(StrEnum):
    """How the password is proven. The first two never send it."""

    SCRAM_SHA_512 = "SCRAM-SHA-512"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    PLAIN = "PLAIN"


class PasswordNow(str):
    """A password as both clients of Kafka take it: they encode it whenever they connect, and get the one in force then.

    ``now`` gives it, first of all that are known; while it cannot be read, the last one counts.
    """

    _now: Passwords
    _last: Secret

    def __new__(cls, password: Secret, now: Passwords) -> PasswordNow:
        made = super().__new__(cls, password.reveal())
        made._now, made._last = now, password
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the bytes of the password in force."""
        with suppress(ConfigurationError):
            self._last = self._now()[0]
        return self._last.reveal().encode(encoding, errors)


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """``tls``: None speaks in clear. ``user``: empty asks for no account. ``passwords_now``: asked at each connection,
    for the password may be exchanged; None: it stays ``password``.
    """

    tls: TlsFiles | None = None
    user: str = ""
    password: Secret = Secret("")
    mechanism: SaslMechanism = SaslMechanism.SCRAM_SHA_512
    passwords_now: Passwords | None = None

    def client_password(self) -> str:
        """Return the password as a client takes it. PLAIN is put together at once, and stays what it is."""
        if self.passwords_now is None or self.mechanism is SaslMechanism.PLAIN:
            return self.password.reveal()
        return PasswordNow(self.password, self.passwords_now)

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS is spoken with, None in clear.

        Raises:
            ConfigurationError: a file cannot be used.
        """
        try:
            return None if self.tls is None else client_context(self.tls)
        except TlsFileError as error:
            raise ConfigurationError(str(error)) from None

    def client_settings(self) -> dict[str, Any]:
        """Return this as kafka-python's own settings. Raises as :meth:`context`."""
        if self.tls is None:
            return {}
        if not self.user:
            return {"security_protocol": "SSL", "ssl_context": self.context()}
        return {
            "security_protocol": "SASL_SSL",
            "ssl_context": self.context(),
            "sasl_mechanism": self.mechanism.value,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.client_password(),
        }

    def trouble_with(self, server: str) -> str:
        """Return what is wrong with the TLS of ``host:port``; empty when nothing is, or it is away."""
        if self.tls is None:
            return ""
        host, _, port = server.rpartition(":")
        return trouble_with(host, int(port), self.tls)
