"""A delivery as the webhook's message, and its answer as a receipt. Pure: time and nonce come in as arguments."""

from __future__ import annotations

import msgspec

from delivery.deliveries import Delivery
from delivery.receiver import Receipt
from delivery.receivers.webhook.signature import (
    NEXT_SIGNATURE_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SignedRequest,
    sign,
)


class ReceiptBody(msgspec.Struct, frozen=True):
    """What Linli's own contract asks a receiver to answer: the key of what it accepted."""

    delivery_id: str


def body_of(delivery: Delivery) -> bytes:
    """Return the body: the row's payload as it was written, so that every attempt has the same bytes."""
    return delivery.payload


def headers_of(
    delivery: Delivery, secret: bytes, *, target: str, now_s: int, nonce: str, following: bytes = b""
) -> dict[str, str]:
    """Return the headers, with the signature.

    Args:
        secret: shared with the receiver.
        target: path and query that are posted to; signed.
        now_s: epoch seconds.
        nonce: used once.
        following: the secret that is to follow, while they are exchanged: signs a second time.
    """
    request = SignedRequest(timestamp=str(now_s), nonce=nonce, method="POST", path=target, body=body_of(delivery))
    more = {NEXT_SIGNATURE_HEADER: sign(following, request)} if following else {}
    return more | {
        "Content-Type": "application/json",
        "User-Agent": "linli",
        "Connection": "close",
        "Idempotency-Key": delivery.delivery_id,
        TIMESTAMP_HEADER: request.timestamp,
        NONCE_HEADER: request.nonce,
        SIGNATURE_HEADER: sign(secret, request),
    }


def read_receipt(body: bytes, delivery_id: str) -> Receipt:
    """Return what a successful answer's body says: nothing, or the key that was sent, is a receipt; all else is not.

    >>> read_receipt(b"", "k1"), read_receipt(b"<html>", "k1")
    (<Receipt.CONFIRMED: 'confirmed'>, <Receipt.UNREADABLE: 'unreadable'>)
    """
    if not body.strip():
        return Receipt.CONFIRMED
    try:
        receipt = msgspec.json.decode(body, type=ReceiptBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Receipt.UNREADABLE
    return Receipt.CONFIRMED if receipt.delivery_id == delivery_id else Receipt.UNREADABLE
