"""The webhook before a hostile peer: see :mod:`delivery.conformance`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from contracts.secrets import Secret
from delivery.conformance.adapter import Adapter, Target
from delivery.conformance.request import Request
from delivery.deliveries import Delivery
from delivery.receivers.webhook.client import Webhook
from delivery.receivers.webhook.mapping import ReceiptBody
from delivery.receivers.webhook.settings import WebhookSettings
from delivery.receivers.webhook.signature import (
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SignedRequest,
    Verifier,
)

_SECRET = "0123456789abcdef"
_SECRET_FILE = "webhook.secret"
_TARGET = "/linli?site=s1"
_PINNED_S = 1_795_400_000  # 2026-11-23 03:33:20 UTC
_PINNED_NONCE = "00112233445566778899aabbccddeeff"


def _table(target: Target) -> dict[str, object]:
    table: dict[str, object] = {
        "url": target.url + _TARGET,
        "secret_file": _SECRET_FILE,
        "timeout_s": target.timeout_s,
    }
    return table | ({"ca_file": str(target.ca_file)} if target.ca_file else {})


def _acceptance(delivery: Delivery) -> bytes:
    return msgspec.json.encode(ReceiptBody(delivery.delivery_id))


def _key_of(request: Request) -> str:
    return request.headers["idempotency-key"]


def _objection(request: Request) -> str | None:
    timestamp = request.headers[TIMESTAMP_HEADER.lower()]
    signed = SignedRequest(
        timestamp=timestamp,
        nonce=request.headers[NONCE_HEADER.lower()],
        method=request.method,
        path=request.target,
        body=request.body,
    )
    refusal = Verifier(_SECRET.encode()).refusal(signed, request.headers[SIGNATURE_HEADER.lower()], int(timestamp))
    of_another_key = msgspec.json.decode(request.body, type=ReceiptBody).delivery_id != _key_of(request)
    return refusal or ("key" if of_another_key else None)


def _pinned(target: Target) -> Webhook:
    settings = WebhookSettings(url=target.url + _TARGET, secret_file=Path(_SECRET_FILE), timeout_s=target.timeout_s)
    return Webhook("webhook", settings, Secret(_SECRET), now_s=lambda: _PINNED_S, nonce=lambda: _PINNED_NONCE)


ADAPTER = Adapter(
    table=_table,
    secrets={_SECRET_FILE: _SECRET},
    acceptance=_acceptance,
    empty_accepts=True,
    not_receipts=(b'{"delivery_id":"another"}', b'{"delivery_id":null}', b'{"deliveryId":"x"}'),
    key_of=_key_of,
    fresh=(NONCE_HEADER, SIGNATURE_HEADER),
    objection=_objection,
    pinned=_pinned,
)
