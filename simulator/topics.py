"""Where each simulated event is published, and what a box is told back: pure names and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from contracts.errors import Rejected
from contracts.events import AnyEvent, ConfigurationRecord, DeviceConfigured, DeviceStateChanged, Lane, PowerSampled
from contracts.names import ROOT, Channel, DeviceClass, Topic, parse_topic

GOT_FILTER = f"{ROOT}/+/edge/+/got"
_JSON = msgspec.json.Encoder()


class SpoolAckReceived(msgspec.Struct, frozen=True):
    """An acknowledgement: of this box's spool and lane everything up to ``through_seq`` is durable."""

    site_id: str
    box_id: str
    spool_id: str
    lane: Lane
    through_seq: int


class _GotPayload(msgspec.Struct):
    spool_id: str
    lane: Lane
    through_seq: Annotated[int, msgspec.Meta(ge=0)]


def parse_spool_ack(topic: str, payload: bytes) -> SpoolAckReceived | None:
    """Return the acknowledgement in a message; None when it is none."""
    try:
        where = parse_topic(topic)
        said = msgspec.json.decode(payload, type=_GotPayload)
    except (Rejected, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return SpoolAckReceived(where.site_id, where.device_id, said.spool_id, said.lane, said.through_seq)


def topic_of(event: AnyEvent, classes: dict[str, DeviceClass]) -> Topic | None:
    """Return the topic its device publishes ``event`` on; None for what is never published (configuration).

    ``classes``: device → class. A device that is not in it speaks as a gate, as a new one on trial would.
    """
    if isinstance(event, ConfigurationRecord):
        return None
    if event.spool is not None:
        return Topic(event.site_id, DeviceClass.EDGE, event.spool.box_id, Channel.EVT)
    device_class = classes.get(event.source_id, DeviceClass.GATE)
    return Topic(event.site_id, device_class, event.source_id, _channel(event))


def _channel(event: AnyEvent) -> Channel:
    if isinstance(event, PowerSampled):
        return Channel.TELE
    return Channel.STATE if isinstance(event, DeviceStateChanged) else Channel.EVT


def quality_of(topic: Topic) -> tuple[int, bool]:
    """Return (QoS, retained) of a topic's channel."""
    return (0 if topic.channel is Channel.TELE else 1), topic.channel is Channel.STATE


def payload_of(event: AnyEvent) -> bytes:
    """Return the event as its device sends it: without what only ingest sets."""
    return _JSON.encode(msgspec.structs.replace(event, received_ms=0, device_at_ms=None))


def timed(events: Iterable[AnyEvent], start_ms: int, speed: float) -> Iterator[tuple[float, Topic, AnyEvent]]:
    """Yield a file's events as a live stream that begins at ``start_ms``: (seconds until due, topic, event).

    The first event's time becomes ``start_ms``; at ``speed`` 60 an hour passes in a minute, device clocks included.
    Configuration records are left out but tell the classes of devices.
    """
    classes: dict[str, DeviceClass] = {}
    first_ms: int | None = None
    for event in events:
        if isinstance(event, DeviceConfigured):
            classes[event.device_id] = event.device_class
        if first_ms is None:
            first_ms = event.received_ms
        topic = topic_of(event, classes)
        if topic is not None:
            due_s = (event.received_ms - first_ms) / 1_000 / speed
            at_ms = start_ms + int((event.at_ms - first_ms) / speed)
            yield due_s, topic, msgspec.structs.replace(event, at_ms=at_ms)
