"""Bytes on one of Linli's own topics become an event, or a ``Rejected`` that says why. Pure.

Whatever is on the wire, only ``Rejected`` is raised. Its detail names fields and limits, never a value that a person
wrote; the scrubbed excerpt is the dead letter's business.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from contracts.errors import Rejected, RejectReason
from contracts.events import (
    EVENT_VERSION,
    LIFE_SAFETY_KINDS,
    BacklogDrained,
    DeviceEvent,
    DeviceReported,
    EnvironmentSampled,
    Event,
    ObjectFell,
    RowsDropped,
    SpoolMark,
    TagSeen,
)
from contracts.names import DeviceClass, Topic, check_id, is_id, is_sha256
from ingest.pipeline.channel_rules import INBOUND, KINDS_OF_CHANNEL, KINDS_OF_CLASS
from ingest.pipeline.device_time import UNREADABLE_MS, is_time
from ingest.pipeline.field_values import MAX_EVIDENCE, MAX_GAUGES
from ingest.pipeline.json_depth import check_depth
from ingest.pipeline.salvage import FieldFault, has_reading, own_name, salvage, salvaged_mark
from ingest.pipeline.spelling import is_misspelled, may_lack_digits
from ingest.settings import MAX_PAYLOAD_BYTES

_NUL = b"\\u0000"
_BOX = DeviceClass.EDGE
"""To look a member up in its class takes longer than most checks."""

_DECODER: msgspec.json.Decoder[DeviceEvent] = msgspec.json.Decoder(DeviceEvent)
_LOOSE = msgspec.json.Decoder(dict[str, Any])
_OUT_OF_RANGE = re.compile(r"(<=|>=|<|>) |length|out of range")
_PATH = re.compile(r" - at `([^`]{1,120})`$")
_MENDED = (
    "Object missing required field `event_id`",
    "Object missing required field `at_ms`",
)
_TIME_PATH = "`$.at_ms`"
_KEY = re.compile(rb'[{,]\s*"([^"]{1,60})"\s*:')
_SHORT_KEY = re.compile(rb'[{,]\s*"([^"]{0,60})"\s*:')
_NAMES_OF: dict[type[Event], str] = {
    TagSeen: "tag_id",
    ObjectFell: "column",
    BacklogDrained: "spool_id",
    RowsDropped: "spool_id",
}
"""Fields that name something besides the speaker and its place."""
_ALARMING = tuple(str(kind.__struct_config__.tag).encode() for kind in LIFE_SAFETY_KINDS)


MAX_SCANNED_BYTES = 1024 * 1024
"""So much of a sensor's message is searched for what is right in it: it may be an alarm beside a maker's picture."""


MAX_REMEMBERED_BYTES = 1_024
"""A longer message is looked at each time: of what is remembered there are thousands."""


class _Peek(msgspec.Struct):
    v: int = EVENT_VERSION
    kind: str = ""
    spool: SpoolMark | None = None


class _Calm(msgspec.Struct):
    alarm: bool | None = None


_CALM = msgspec.json.Decoder(_Calm)
_PEEK = msgspec.json.Decoder(_Peek)


def decode(topic: Topic, payload: bytes, unnamed: str, faults: list[FieldFault] | None = None) -> DeviceEvent:
    """Return the event in ``payload``, said on ``topic``; its times are as the device gave them, 0 if unreadable.

    Args:
        topic: where it came; its site and device are the only ones it may speak for (a box: for its cameras).
        payload: UTF-8 JSON, at most 256 KiB; a sensor's at most 1 MiB.
        unnamed: the event id to use when the device gives neither ``event_id`` nor a sequence number.
        faults: is given what was wrong in it and was dropped.

    Raises:
        Rejected: with the reason; also when what is right in it makes no event.
    """
    if topic.channel not in INBOUND:
        raise Rejected(RejectReason.WRONG_CHANNEL, f"devices do not send events on {topic.channel}")
    try:
        event = _strict(topic, payload, unnamed)
    except Rejected as error:
        event = _rest_of(error, topic, payload, unnamed, faults)
    _check_speaker(topic, event)
    _check_channel_rules(topic, event)
    return event


def spool_mark(payload: bytes) -> SpoolMark | None:
    """Return the spool row a refused payload was, when that much can be read: a lane must not stick at a bad row."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        mark = msgspec.convert(salvaged_mark(payload), SpoolMark | None)
    except (Rejected, msgspec.ValidationError):
        return None
    return mark if mark is not None and is_id(mark.box_id) and is_id(mark.spool_id) else None


def mentions_life_safety(payload: bytes) -> bool:
    """Return whether a message that cannot be read may have been an alarm of fire, or a fall."""
    head = payload[:MAX_SCANNED_BYTES]
    return any(kind in head for kind in _ALARMING)


def _strict(topic: Topic, payload: bytes, unnamed: str) -> DeviceEvent:
    event = _parse(payload, topic, unnamed)
    _check_content(event)
    _check_text(event, payload)
    if topic.device_class is not _BOX:
        check_keys(payload)
    if type(event) is EnvironmentSampled and not event.alarm and not has_reading(event):
        _check_says(payload)
    return event


def _rest_of(
    error: Rejected, topic: Topic, payload: bytes, unnamed: str, faults: list[FieldFault] | None
) -> DeviceEvent:
    """Return what is right in a message that is not right as a whole; raise ``error`` where that is no event."""
    found: list[FieldFault] = []
    most = MAX_SCANNED_BYTES if topic.device_class is DeviceClass.SENSOR else MAX_PAYLOAD_BYTES
    if error.reason is RejectReason.UNKNOWN_VERSION or len(payload) > most:
        raise error
    event = salvage(payload, topic, unnamed, found)
    if event is None:
        raise error
    try:
        _check_ids(event)
    except Rejected:
        raise error from None
    if faults is not None:
        faults += found
    return event


def _parse(payload: bytes, topic: Topic, unnamed: str) -> DeviceEvent:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Rejected(RejectReason.TOO_LARGE, f"more than the {MAX_PAYLOAD_BYTES} bytes that are read")
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(RejectReason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None
    check_depth(payload)
    try:
        return _DECODER.decode(payload)
    except msgspec.ValidationError as error:
        if str(error) in _MENDED or str(error).endswith(_TIME_PATH):
            return _mended(payload, topic, unnamed)
        raise _refusal(str(error), payload) from None
    except msgspec.DecodeError as error:
        raise Rejected(RejectReason.NOT_JSON, str(error)[:200]) from None
    except (RecursionError, UnicodeDecodeError):
        raise Rejected(RejectReason.TOO_DEEP, "JSON the parser gave up on") from None


def _mended(payload: bytes, topic: Topic, unnamed: str) -> DeviceEvent:
    """Return the event of a device that gives no id, or no time that can be read.

    It is named by its row, its own number, or by this run's; its time becomes 0, which no clock tells.
    """
    try:
        fields = _LOOSE.decode(payload)
        is_named = "event_id" in fields
        fields.setdefault("event_id", unnamed)
        if not is_time(fields.get("at_ms")):
            fields["at_ms"] = UNREADABLE_MS
        event: DeviceEvent = msgspec.convert(fields, DeviceEvent)
        own = None if is_named else own_name(event.spool, event.seq, topic.device_id)
        return msgspec.structs.replace(event, event_id=own) if own else event
    except msgspec.ValidationError as error:
        raise _refusal(str(error), payload) from None
    except msgspec.DecodeError as error:
        raise Rejected(RejectReason.NOT_JSON, str(error)[:200]) from None


def _refusal(message: str, payload: bytes) -> Rejected:
    """Return why the parser refused, without the values it quotes."""
    peek = _peek(payload)
    if peek is not None and peek.v > EVENT_VERSION:
        return Rejected(RejectReason.UNKNOWN_VERSION, f"event version {peek.v}, this program reads ≤ {EVENT_VERSION}")
    found = _PATH.search(message)
    where = found.group(1) if found else "$"
    if where == "$.kind" and message.startswith("Invalid value"):
        kind = peek.kind if peek is not None and is_id(peek.kind) else "?"
        return Rejected(RejectReason.UNKNOWN_KIND, f"kind {kind!r} is none that a device may send")
    what = re.sub(r"'[^']*'", "'…'", message.removesuffix(found.group() if found else ""))[:120]
    reason = RejectReason.OUT_OF_RANGE if _OUT_OF_RANGE.search(what) else RejectReason.WRONG_TYPE
    return Rejected(reason, f"{where}: {what}")


def _peek(payload: bytes) -> _Peek | None:
    try:
        return _PEEK.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return None


def _check_speaker(topic: Topic, event: DeviceEvent) -> None:
    if event.v > EVENT_VERSION:
        raise Rejected(RejectReason.UNKNOWN_VERSION, f"event version {event.v}, this program reads ≤ {EVENT_VERSION}")
    if event.site_id != topic.site_id:
        raise Rejected(RejectReason.WRONG_SITE, f"site_id is not the topic's {topic.site_id!r}")
    if topic.device_class is _BOX:
        check_id(event.source_id, "source_id")
    elif event.source_id != topic.device_id:
        raise Rejected(RejectReason.WRONG_DEVICE, f"source_id is not the topic's {topic.device_id!r}")
    mark = event.spool
    if mark is not None and (topic.device_class is not _BOX or mark.box_id != topic.device_id):
        raise Rejected(RejectReason.WRONG_DEVICE, f"a spool row not from box {topic.device_id!r} itself")


def _check_channel_rules(topic: Topic, event: DeviceEvent) -> None:
    kind = type(event)
    if kind not in KINDS_OF_CHANNEL[topic.channel]:
        raise Rejected(RejectReason.WRONG_CHANNEL, f"{kind_of(event)} on {topic.channel}")
    by_box = topic.device_class is _BOX and event.source_id != topic.device_id
    if not by_box and kind not in KINDS_OF_CLASS[topic.device_class]:
        raise Rejected(
            RejectReason.WRONG_DEVICE, f"a device of class {topic.device_class} does not say {kind_of(event)}"
        )


def _check_content(event: DeviceEvent) -> None:
    check_id(event.place_id, "place_id")
    if not event.event_id or not event.event_id.isprintable():
        raise Rejected(RejectReason.BAD_ID, "event_id is empty or not printable")
    if event.evidence:
        _check_evidence(event)
    if type(event) is DeviceReported and len(event.gauges) > MAX_GAUGES:
        raise Rejected(RejectReason.OUT_OF_RANGE, f"{len(event.gauges)} gauges, at most {MAX_GAUGES}")
    _check_ids(event)


def _check_evidence(event: DeviceEvent) -> None:
    if len(event.evidence) > MAX_EVIDENCE:
        raise Rejected(RejectReason.OUT_OF_RANGE, f"{len(event.evidence)} evidence references, at most {MAX_EVIDENCE}")
    if not all(is_sha256(ref.sha256) for ref in event.evidence):
        raise Rejected(RejectReason.BAD_ID, "evidence under a name that no file can have")


def _check_ids(event: DeviceEvent) -> None:
    """Raise on a name that may become a topic, a key or a file."""
    if event.spool is not None:
        check_id(event.spool.spool_id, "spool_id")
    name = _NAMES_OF.get(type(event))
    if name is not None:
        said = getattr(event, name)
        if said is not None:
            check_id(said, name)


def _check_says(payload: bytes) -> None:
    """Raise when a sensor's message says nothing at all: silence is no calm."""
    if _CALM.decode(payload).alarm is None:
        raise Rejected(RejectReason.WRONG_TYPE, "neither an alarm nor a reading")


def _check_text(event: Event, payload: bytes) -> None:
    """Raise on NUL in any text: stores behind the log cannot keep it. Raw control characters are not JSON already."""
    if _NUL in payload and _NUL in msgspec.json.encode(event):
        raise Rejected(RejectReason.WRONG_TYPE, "a text contains a NUL character")


def check_keys(payload: bytes) -> None:
    """Raise when a key is there twice: the parser takes the last of them, whatever the first said. Or when one may be
    ours in another spelling: the parser passes it over.
    """
    if len(payload) <= MAX_REMEMBERED_BYTES and _has_usual_keys(payload.translate(None, b"0123456789")):
        return
    keys = _KEY.findall(payload)
    if len(keys) != len(set(keys)):
        raise Rejected(RejectReason.WRONG_TYPE, "a key is there twice")
    if any(map(is_misspelled, keys)):
        raise Rejected(RejectReason.WRONG_TYPE, "a key in another spelling")


@functools.lru_cache(maxsize=8_192)
def _has_usual_keys(skeleton: bytes) -> bool:
    """Return whether nothing is wrong with the keys of all messages that differ from this text in digits alone.

    A device says the same again and again, with other numbers; so its keys are looked at once. Of keys in which digits
    would count nothing is said.
    """
    keys = _SHORT_KEY.findall(skeleton)
    return len(keys) == len(set(keys)) and not any(is_misspelled(key) or may_lack_digits(key) for key in keys)


def kind_of(event: Event) -> str:
    """Return the ``kind`` tag of an event.

    >>> kind_of(BacklogDrained(event_id="e", site_id="s", source_id="b", place_id="p", at_ms=0, spool_id="x"))
    'backlog_drained'
    """
    return str(type(event).__struct_config__.tag)
