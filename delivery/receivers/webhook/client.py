"""A webhook: POST of the message as JSON, signed, with the delivery's key as ``Idempotency-Key``."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from contracts.errors import ConfigurationError
from contracts.secrets import Passwords, Secret
from delivery.deliveries import Delivery
from delivery.http.address import parse_address, target_of
from delivery.http.exchange import HttpPeer
from delivery.http.statuses import raise_for_status, retry_after_s
from delivery.receiver import Receipt
from delivery.receivers.kind import ReadSecret
from delivery.receivers.webhook.mapping import body_of, headers_of, read_receipt
from delivery.receivers.webhook.settings import WebhookSettings
from system.file_stamp import FileStamp, stamp_of
from system.next_secret import next_of

LOG = structlog.get_logger("linli.webhook")
MIN_SECRET_BYTES = 16


def make_nonce() -> str:
    """Return 32 hex digits that were never used."""
    return secrets.token_hex(16)


class Webhook:
    """The webhook receiver.

    Args:
        name: of the receiver, in the settings and in every row.
        settings: where and how.
        secret: at least 16 bytes, shared with the receiver.
        secrets_now: asked for each request, since the secret may be exchanged: the one in force, and the one that
            follows it. None: it stays what it is.
        now_s: epoch seconds, signed.
        nonce: another one for every request.

    Raises:
        ConfigurationError: the secret or ``ca_file`` cannot be used.
    """

    def __init__(
        self,
        name: str,
        settings: WebhookSettings,
        secret: Secret,
        *,
        secrets_now: Passwords | None = None,
        now_s: Callable[[], float] = time.time,
        nonce: Callable[[], str] = make_nonce,
    ) -> None:
        if wrong := _wrong_with(secret):
            raise ConfigurationError(f"receiver {name}: {wrong}")
        address = parse_address(settings.url, allow_http=settings.allow_http)
        self._name = name
        self._target = target_of(address)
        self._peer = HttpPeer(address, timeout_s=settings.timeout_s, ca_file=settings.ca_file)
        self._secrets: tuple[Secret, ...] = (secret,)
        self._secrets_now = secrets_now
        self._now_s = now_s
        self._nonce = nonce

    @property
    def name(self) -> str:
        """See :class:`delivery.receiver.Receiver`."""
        return self._name

    def send(self, delivery: Delivery) -> Receipt:
        """See :class:`delivery.receiver.Receiver`."""
        answer = self._peer.post(self._headers(delivery), body_of(delivery))
        raise_for_status(answer.status, retry_after_s(answer.retry_after))
        return read_receipt(answer.body, delivery.delivery_id) if answer.complete else Receipt.UNREADABLE

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        secret, *following = (one.reveal().encode() for one in self._look_again())
        return headers_of(
            delivery,
            secret,
            target=self._target,
            now_s=int(self._now_s()),
            nonce=self._nonce(),
            following=following[0] if following else b"",
        )

    def _look_again(self) -> tuple[Secret, ...]:
        """Return the secrets to sign with: those in the files, or the last ones while those cannot be used."""
        if self._secrets_now is None:
            return self._secrets
        try:
            present, *following = self._secrets_now()
            wrong = _wrong_with(present)
        except ConfigurationError as error:
            wrong = str(error)
        if wrong:
            LOG.warning("secret_not_usable", receiver=self._name, why=wrong, goes_on_with="the last one")
        else:
            self._secrets = (present, *(one for one in following if not _wrong_with(one)))
        return self._secrets


def _wrong_with(secret: Secret) -> str:
    size = len(secret.reveal().encode())
    return f"secret of {size} bytes, at least {MIN_SECRET_BYTES}" if size < MIN_SECRET_BYTES else ""


def open_webhook(name: str, settings: WebhookSettings, read_secret: ReadSecret) -> Webhook:
    """Return the webhook that ``settings`` describe.

    Raises:
        ConfigurationError: its secret or ``ca_file`` cannot be used.
    """
    key = f"{name}.secret_file"

    secrets_now = SecretFiles(settings.secret_file, key, read_secret)
    return Webhook(name, settings, read_secret(settings.secret_file, key), secrets_now=secrets_now)


class SecretFiles:
    """The secrets in a receiver's file and in the one that follows it, read when one of them is not what it was.

    Args:
        path: of the one in force.
        key: of the setting that names it.
        read: reads one.
    """

    def __init__(self, path: Path, key: str, read: ReadSecret) -> None:
        self._paths, self._key, self._read = (path, next_of(path)), key, read
        self._stamps: list[FileStamp | None] = []
        self._secrets: list[Secret] = []

    def __call__(self) -> list[Secret]:
        """Return the secret in force, and the one that follows it if there is one.

        Raises:
            ConfigurationError: one of them cannot be read.
        """
        present, following = self._paths
        stamps = [stamp_of(path) for path in self._paths]
        if stamps != self._stamps or stamps[0] is None:
            files = [present] if stamps[1] is None else [present, following]
            self._secrets = [self._read(file, self._key) for file in files]
            self._stamps = stamps
        return self._secrets
