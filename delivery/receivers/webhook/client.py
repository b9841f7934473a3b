"""A webhook: POST of the message as JSON, signed, with the delivery's key as ``Idempotency-Key``."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from delivery.deliveries import Delivery
from delivery.http.address import parse_address, target_of
from delivery.http.exchange import HttpPeer
from delivery.http.statuses import raise_for_status, retry_after_s
from delivery.receiver import Receipt
from delivery.receivers.kind import ReadSecret
from delivery.receivers.webhook.mapping import body_of, headers_of, read_receipt
from delivery.receivers.webhook.settings import WebhookSettings

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
        now_s: Callable[[], float] = time.time,
        nonce: Callable[[], str] = make_nonce,
    ) -> None:
        if (size := len(secret.reveal().encode())) < MIN_SECRET_BYTES:
            raise ConfigurationError(f"receiver {name}: secret of {size} bytes, at least {MIN_SECRET_BYTES}")
        address = parse_address(settings.url, allow_http=settings.allow_http)
        self._name = name
        self._target = target_of(address)
        self._peer = HttpPeer(address, timeout_s=settings.timeout_s, ca_file=settings.ca_file)
        self._secret = secret
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
        secret = self._secret.reveal().encode()
        return headers_of(delivery, secret, target=self._target, now_s=int(self._now_s()), nonce=self._nonce())


def open_webhook(name: str, settings: WebhookSettings, read_secret: ReadSecret) -> Webhook:
    """Return the webhook that ``settings`` describe.

    Raises:
        ConfigurationError: its secret or ``ca_file`` cannot be used.
    """
    return Webhook(name, settings, read_secret(settings.secret_file, f"{name}.secret_file"))
