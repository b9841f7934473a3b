"""The SCRAM account at Kafka that the settings name, with the file that holds its password."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from app.operations.rotation.exchange import SecretFile
from app.settings.secret_files import read_pair
from app.settings.settings import Settings
from app.wiring.district import kafka_security, open_cluster
from contracts.errors import ConfigurationError, Transient
from contracts.secrets import Secret
from streams.broker_security import KafkaSecurity, SaslMechanism
from streams.kafka import KafkaCluster

KNOWN_S = 30.0
"""How long brokers may take to know a new password: the controller writes it down, each of them reads it there."""
_POLL_S = 0.2
_CLIENT = "linli-secrets"


class KafkaAccount:
    """One account.

    Args:
        url: of the brokers.
        security: how our account proves itself.
        administrator: how who may change it does; None: our account itself.
    """

    def __init__(self, url: str, security: KafkaSecurity, administrator: KafkaSecurity | None = None) -> None:
        self._url, self._security, self._administrator = url, security, administrator

    @property
    def where(self) -> str:
        """The brokers and the account as a person knows them."""
        return f"Kafka at {self._url.removeprefix('kafka://')}, account {self._security.user}"

    def takes(self, password: Secret) -> bool:
        """Return whether the brokers take this password. Raises what they answer else."""
        with KafkaCluster(self._url, _CLIENT, self._with(password)) as cluster:
            return cluster.takes_password()

    def change(self, present: Secret, new: Secret) -> None:
        """Give the account another password, and return when a broker takes it.

        Raises:
            ConfigurationError: the administrator's password is refused. Permanent: the account may not be changed.
            Transient: the brokers do not answer, or do not know the new password in time.
        """
        by = self._administrator or self._with(present)
        with KafkaCluster(self._url, _CLIENT, by) as cluster:
            if not cluster.takes_password():
                raise ConfigurationError(f"{self.where}: the brokers do not take the password of {by.user}")
            cluster.set_password(self._security.user, self._security.mechanism, new)
        deadline_s = time.monotonic() + KNOWN_S
        while not self.takes(new):
            if time.monotonic() > deadline_s:
                raise Transient(f"{self.where}: the brokers do not know the new password yet; run it again")
            time.sleep(_POLL_S)  # each broker learns of it from the controller, and does not say when

    def _with(self, password: Secret) -> KafkaSecurity:
        return msgspec.structs.replace(self._security, password=password, passwords_now=None)


def kafka_account(settings: Settings, admin_file: Path | None) -> tuple[KafkaAccount, list[SecretFile]]:
    """Return the account.

    Args:
        settings: with ``kafka.password_file``.
        admin_file: ``user:password`` of who may change it; None: the account itself.

    Raises:
        ConfigurationError: the log is not on Kafka, no password of ours proves us there by SCRAM, or a file cannot be
            read.
    """
    open_cluster(settings, _CLIENT).close()
    security = kafka_security(settings)
    path = settings.kafka.password_file
    if path is None or not security.user:
        raise ConfigurationError("kafka.password_file is empty: no password of Kafka is ours to exchange")
    if security.mechanism is SaslMechanism.PLAIN:
        raise ConfigurationError("kafka.mechanism is PLAIN: its passwords stand in the brokers' own settings")
    administrator = None
    if admin_file is not None:
        user, password = read_pair(admin_file, "--admin-file")
        administrator = msgspec.structs.replace(security, user=user, password=password, passwords_now=None)
    file = SecretFile(path, "kafka.password_file", f"{security.user}:")
    return KafkaAccount(settings.log.url, security, administrator), [file]
