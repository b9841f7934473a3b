"""A file of events, a JSON line each in order of acceptance, as ingest would accept it: for ``replay``, ``log load``.

Time is the file's ``received_ms``, configuration only what its records say. Bad lines and events of devices without a
record are counted with their reason and passed over. Pure: lines in, events out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from contracts.errors import Rejected, RejectReason
from contracts.events import (
    EVENT_VERSION,
    INGEST_SOURCE,
    AnyEvent,
    ClockStepped,
    ConfigurationRecord,
    DeviceEvent,
    DeviceReported,
    IngestEvent,
)
from contracts.names import check_id, is_id
from ingest.pipeline.admission import Admission
from ingest.pipeline.clock_rules import ClockRules
from ingest.pipeline.decode import check_keys
from ingest.pipeline.device_notices import DeviceNotices
from ingest.pipeline.device_time import UNREADABLE_MS, claimed_ms
from ingest.pipeline.json_depth import check_depth
from ingest.pipeline.salvage import FieldFault, salvage
from ingest.settings import MAX_PAYLOAD_BYTES
from inventory.clocks import ClockRecord
from inventory.notices import DeviceNotice


class Refusal(msgspec.Struct):
    """One reason lines were passed over for: how many, and the first of them."""

    count: int = 0
    first_line: int = 0
    detail: str = ""


class EventFile:
    """Reads one file. ``accepted``, ``refused``, ``dropped`` (a fault → how often) count what has been read so far."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused: dict[RejectReason, Refusal] = {}
        self.dropped: Counter[str] = Counter()
        self.notices = DeviceNotices()
        self._admission = Admission()
        self._clocks = ClockRules()
        self._moved_ms = -1

    def events(self, lines: Iterable[bytes]) -> Iterator[AnyEvent]:
        """Yield the events to be written to the log, in order; empty lines are none."""
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            faults: list[FieldFault] = []
            try:
                event = decode_line(line, faults)
                claimed = claimed_ms(line) if event.at_ms == UNREADABLE_MS else None
                event = self._accept(event, claimed, faults)
            except Rejected as error:
                self._refuse(error, number)
                continue
            self.accepted += 1
            self.dropped.update(map(str, faults))
            yield event

    def noticed(self) -> list[DeviceNotice]:
        """Return what is wrong with the words of the file's devices, as of its last one."""
        return self.notices.current(0, self._admission.device)

    def pending_devices(self) -> int:
        """Return how many devices spoke that the file's records do not name."""
        return len(self._admission.pending_devices())

    def clock_faults(self) -> list[ClockRecord]:
        """Return the clocks whose times could not be used."""
        return [record for record in self._clocks.records() if record.fault]

    def _accept(self, event: AnyEvent, claimed: int | None, faults: list[FieldFault]) -> AnyEvent:
        if event.received_ms == 0:
            raise Rejected(RejectReason.OUT_OF_RANGE, "received_ms is missing: time is the file's, never the clock's")
        if isinstance(event, ConfigurationRecord):
            self._admission.apply_config(event)
        elif isinstance(event, DeviceReported) and event.source_id == INGEST_SOURCE:
            return event  # what ingest itself said of a door
        elif not isinstance(event, IngestEvent):
            device = self._admission.check(event, now_ms=event.received_ms)
            event = self._admission.placed(event, device, faults)
            self.notices.accepted(device, event, faults, event.received_ms)
        elif isinstance(event, ClockStepped) and event.shift_ms and event.received_ms != self._moved_ms:
            self._moved_ms = event.received_ms  # each site tells of the same step
            self._clocks.shift(event.shift_ms)
        return self._clocks.apply(event, event.received_ms, claimed=claimed)

    def _refuse(self, error: Rejected, number: int) -> None:
        refusal = self.refused.setdefault(error.reason, Refusal(0, number, error.detail))
        refusal.count += 1


def decode_line(line: bytes, faults: list[FieldFault] | None = None) -> AnyEvent:
    """Return the event of one line; what is wrong in a device's is dropped and goes to ``faults``.

    Raises:
        Rejected: with the reason; its detail quotes no text that a person wrote.
    """
    if len(line) > MAX_PAYLOAD_BYTES:
        raise Rejected(RejectReason.TOO_LARGE, f"more than the {MAX_PAYLOAD_BYTES} bytes that are read")
    found: list[FieldFault] = []
    try:
        event = _strict(line)
    except Rejected as error:
        if error.reason is RejectReason.UNKNOWN_VERSION:
            raise
        name = f"line-{hashlib.sha256(line.strip()).hexdigest()[:32]}"
        saved = salvage(line, None, name, found, by_ingest=frozenset())
        if saved is None or not is_id(saved.site_id) or not is_id(saved.source_id):
            raise error from None
        event = saved
    if faults is not None:
        faults += found
    return event


def _strict(line: bytes) -> AnyEvent:
    check_depth(line)
    try:
        event = _event(line)
    except msgspec.ValidationError as error:
        raise Rejected(RejectReason.WRONG_TYPE, f"not an event: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(RejectReason.NOT_JSON, str(error)[:200]) from None
    if event.v > EVENT_VERSION:
        raise Rejected(RejectReason.UNKNOWN_VERSION, f"event version {event.v}, this program reads ≤ {EVENT_VERSION}")
    for name in ("site_id", "source_id", "place_id"):
        check_id(getattr(event, name), name)
    if isinstance(event, DeviceEvent):
        check_keys(line)
    return event


def _event(line: bytes) -> AnyEvent:
    """Return the event; one whose time cannot be read has none, as from a device."""
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError as error:
        if not str(error).endswith("`$.at_ms`"):
            raise
        event: AnyEvent = msgspec.convert({**_LOOSE.decode(line), "at_ms": UNREADABLE_MS}, AnyEvent)
        return event


_LOOSE = msgspec.json.Decoder(dict[str, Any])
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
