"""The record of the log: what one partition's only writer accepted, in order of acceptance, and how far time is."""

from __future__ import annotations

import msgspec

from contracts.errors import Rejected, RejectReason
from contracts.events import AnyEvent

BATCH_VERSION = 1
MAX_BATCH_EVENTS = 512
MAX_BATCH_BYTES = 256 * 1024


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the log.

    ``watermark_ms`` says that everything its writer received up to then is in the log, this record included; 0 says
    nothing about time. ``events`` may be of any of the partition's sites; empty batches carry time alone.
    """

    v: int = BATCH_VERSION
    partition: int
    watermark_ms: int
    events: tuple[AnyEvent, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Batch)


def encode_batch(batch: Batch) -> bytes:
    """Return the batch as msgpack bytes."""
    return _ENCODER.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """Return the batch in ``data``.

    Raises:
        Rejected: ``wrong_type`` or ``unknown_version`` when it is not a batch this version can read.
    """
    try:
        batch = _DECODER.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Rejected(RejectReason.WRONG_TYPE, f"not a batch of {len(data)} bytes: {error}") from None
    if batch.v > BATCH_VERSION:
        raise Rejected(RejectReason.UNKNOWN_VERSION, f"batch version {batch.v}, this program reads ≤ {BATCH_VERSION}")
    return batch
