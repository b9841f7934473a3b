"""Records that a newer ingest wrote: with an event of a kind that this version does not know, among others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.batch import Batch, encode_batch
from contracts.events import Event
from tests.streams.support import T0


def lift_moved(event_id: str, at_ms: int, **more: Any) -> dict[str, Any]:
    """An event of a kind that only a newer version knows."""
    said = {"kind": "lift_moved", "v": 2, "event_id": event_id, "site_id": "s1", "source_id": "lift1"}
    times = {"place_id": "p-lift1", "at_ms": T0 + at_ms, "received_ms": T0 + at_ms}
    return said | times | {"floors": [1, 7], "load_kg": 212.5} | more


def newer_record(watermark_ms: int | None, *events: Event | dict[str, Any], partition: int = 0) -> bytes:
    """The bytes of a record of events that this version knows, and of dictionaries for those that it does not."""
    time_ms = 0 if watermark_ms is None else T0 + watermark_ms
    whole = msgspec.msgpack.decode(encode_batch(Batch(partition=partition, watermark_ms=time_ms)))
    return msgspec.msgpack.encode(whole | {"events": _built(events)})


def _built(events: Sequence[Event | dict[str, Any]]) -> list[Any]:
    return [event if isinstance(event, dict) else msgspec.Raw(msgspec.msgpack.encode(event)) for event in events]
