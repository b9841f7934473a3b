"""How this district proves to Kafka who it is, and who the brokers must be. Shared by both clients of Kafka."""

from __future__ import annotations

import ssl
from enum import StrEnum
from typing import Any

import msgspec

from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from system.tls import TlsFileError, TlsFiles, client_context, trouble_with


class SaslMechanism(StrEnum):
    """How the password is proven. The first two never send it."""

    SCRAM_SHA_512 = "SCRAM-SHA-512"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    PLAIN = "PLAIN"


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """``tls``: None speaks in clear. ``user``: empty asks for no account."""

    tls: TlsFiles | None = None
    user: str = ""
    password: Secret = Secret("")
    mechanism: SaslMechanism = SaslMechanism.SCRAM_SHA_512

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
            "sasl_plain_password": self.password.reveal(),
        }

    def trouble_with(self, server: str) -> str:
        """Return what is wrong with the TLS of ``host:port``; empty when nothing is, or it is away."""
        if self.tls is None:
            return ""
        host, _, port = server.rpartition(":")
        return trouble_with(host, int(port), self.tls)
