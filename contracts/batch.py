"""The record of the log: what one partition's only writer accepted, in order of acceptance, and how far time is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.errors import Rejected, RejectReason
from contracts.events import AnyEvent, ClockStepped, Event
from contracts.events.unread import UnreadEvent, unread_event

BATCH_VERSION = 1
MAX_BATCH_EVENTS = 512
MAX_BATCH_BYTES = 256 * 1024


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the log.

    ``watermark_ms`` says that everything its writer received up to then is in the log, this record included; 0 says
    nothing about time. ``events`` may be of any of the partition's sites; empty batches carry time alone. In a batch
    that was read, an event of a kind that this program does not know is an :class:`UnreadEvent`.
    """

    v: int = BATCH_VERSION
    partition: int
    watermark_ms: int
    events: tuple[AnyEvent, ...] = ()


class PartlyReadBatch(Batch, frozen=True, kw_only=True):
    """A batch that holds an :class:`UnreadEvent`, in its place among the others."""


class _LooseBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose events are not looked at yet."""

    v: int = BATCH_VERSION
    partition: int
    watermark_ms: int
    events: tuple[msgspec.Raw, ...] = ()


def newest_watermark_ms(batches: Sequence[Batch]) -> int:
    """Return the last watermark that says something, 0 when none does. Within one time of the log it is the highest."""
    return next((batch.watermark_ms for batch in reversed(batches) if batch.watermark_ms), 0)


def shift_of(batch: Batch) -> int:
    """Return by how much the log's time moves with this record, ms; 0 for nearly all of them."""
    first = batch.events[0] if batch.events else None
    return first.shift_ms if isinstance(first, ClockStepped) else 0


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Batch)
_LOOSE = msgspec.msgpack.Decoder(_LooseBatch)
_EVENT: msgspec.msgpack.Decoder[AnyEvent] = msgspec.msgpack.Decoder(AnyEvent)


def encode_batch(batch: Batch) -> bytes:
    """Return the batch as msgpack bytes; an event that was not read as the bytes that it was."""
    try:
        return _ENCODER.encode(batch)
    except TypeError:
        return _ENCODER.encode(with_raw(batch))


def with_raw(batch: Batch) -> Batch:
    """Return the batch to be encoded: events that were not read are their bytes."""
    everything: tuple[Event, ...] = batch.events
    events: list[Any] = [event.unread.raw if isinstance(event, UnreadEvent) else event for event in everything]
    return Batch(v=batch.v, partition=batch.partition, watermark_ms=batch.watermark_ms, events=tuple(events))


def unread_in(batch: Batch) -> list[UnreadEvent]:
    """Return the events of the batch that were not read."""
    everything: tuple[Event, ...] = batch.events
    return [event for event in everything if isinstance(event, UnreadEvent)]


def decode_batch(data: bytes | msgspec.Raw) -> Batch:
    """Return the batch in ``data``; one that holds events of unknown kinds as a :class:`PartlyReadBatch`.

    Raises:
        Rejected: ``wrong_type`` or ``unknown_version`` when it is not a batch this version can read.
    """
    try:
        batch = _DECODER.decode(data)
    except msgspec.ValidationError as error:
        batch = _read_singly(data, error)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _no_batch(data, error) from None
    if batch.v > BATCH_VERSION:
        raise Rejected(RejectReason.UNKNOWN_VERSION, f"batch version {batch.v}, this program reads ≤ {BATCH_VERSION}")
    return batch


def _read_singly(data: bytes | msgspec.Raw, error: Exception) -> Batch:
    """Return a batch of which an event cannot be read, event by event. It is rare, so it may take its time."""
    try:
        loose = _LOOSE.decode(data)
        events: list[Any] = [_event(raw) for raw in loose.events]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _no_batch(data, error) from None
    return PartlyReadBatch(v=loose.v, partition=loose.partition, watermark_ms=loose.watermark_ms, events=tuple(events))


def _event(raw: msgspec.Raw) -> Event:
    try:
        event: Event = _EVENT.decode(raw)
        return event
    except msgspec.ValidationError:
        return unread_event(raw)


def _no_batch(data: bytes | msgspec.Raw, error: Exception) -> Rejected:
    return Rejected(RejectReason.WRONG_TYPE, f"not a batch of {len(memoryview(data))} bytes: {error}")
