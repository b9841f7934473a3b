"""Gates that said something which could not be taken: their doors are told to the rules, or residents look strange.

A grant that is refused leaves no trace in the log, while the gate's heartbeats go on. So ingest itself reports of the
door that it is not well: ``DeviceReported`` of source ``ingest``, which no device can be. Pure.
"""

from __future__ import annotations

from contracts.durations import MINUTE_MS
from contracts.errors import Rejected
from contracts.events import (
    EVENT_TYPES,
    INGEST_SOURCE,
    AccessAttempted,
    DeviceConfigured,
    DeviceReported,
    DoorChanged,
    Event,
    event_header,
)
from contracts.names import DeviceClass, Topic
from ingest.pipeline.admission import Admission
from ingest.pipeline.bounded import LruDict
from ingest.pipeline.lenient_json import read_objects
from ingest.settings import MAX_PAYLOAD_BYTES

EVERY_MS = MINUTE_MS
"""A door is told at most so often, whatever its gate sends; the rules take a word of it for longer."""
MAX_DOORS = 20_000

_NO_CREDENTIALS = frozenset(
    tag for tag, kind in EVENT_TYPES.items() if not issubclass(kind, AccessAttempted | DoorChanged)
)

Door = tuple[str, str]
"""(site, place)."""


class UnreadGates:
    """The doors that are to be told. Bounded: 20,000 doors."""

    def __init__(self, run: str) -> None:
        self._run, self._count = run, 0
        self._told_ms: LruDict[Door, int] = LruDict(MAX_DOORS, int)
        self._due: dict[Door, None] = {}

    def refused(self, topic: Topic, event: Event | None, payload: bytes, admission: Admission, now_ms: int) -> None:
        """Note a message that was refused, if a gate of the inventory said it and it may have been a credential.

        Args:
            topic: where it came.
            event: what was read of it; None when nothing was.
            payload: as it came.
            admission: the inventory.
            now_ms: ingest time.
        """
        if event is not None:
            device_id, kind = event.source_id, str(type(event).__struct_config__.tag)
        elif topic.device_class in (DeviceClass.GATE, DeviceClass.EDGE):
            device_id, kind = _said(topic, payload)
        else:
            return
        gate = admission.device(topic.site_id, device_id)
        if gate is None or gate.device_class is not DeviceClass.GATE or kind in _NO_CREDENTIALS:
            return
        self._tell(gate, now_ms)

    def take(self, now_ms: int) -> list[DeviceReported]:
        """Return what is to be said of doors; ``now_ms`` is the log's time."""
        told = [self._report(site_id, place_id, now_ms) for site_id, place_id in self._due]
        self._due.clear()
        return told

    def _tell(self, gate: DeviceConfigured, now_ms: int) -> None:
        door = gate.site_id, gate.place_id
        if door not in self._told_ms or now_ms - self._told_ms[door] >= EVERY_MS:
            self._told_ms[door] = now_ms
            self._due[door] = None

    def _report(self, site_id: str, place_id: str, now_ms: int) -> DeviceReported:
        self._count += 1
        name = f"{self._run}-unread-{self._count}"
        header = event_header(site_id, INGEST_SOURCE, place_id, now_ms, name)
        return DeviceReported(**header, received_ms=now_ms, healthy=False)


def _said(topic: Topic, payload: bytes) -> tuple[str, str]:
    """Return which device a message that cannot be read is of, and which kind it says that it is."""
    said = _fields(payload) if len(payload) <= MAX_PAYLOAD_BYTES else {}
    by_box = topic.device_class is DeviceClass.EDGE
    return str(said.get("source_id")).lower() if by_box else topic.device_id, str(said.get("kind"))


def _fields(payload: bytes) -> dict[str, object]:
    try:
        return read_objects(payload).objects[0]
    except Rejected:
        return {}
