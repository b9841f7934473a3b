"""Whose events are taken: devices of the inventory, each through whom it may speak. All others are *pending*. Pure."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from contracts.errors import Rejected, RejectReason
from contracts.events import ConfigurationRecord, DeviceConfigured, Event, PlaceConfigured, SiteConfigured
from contracts.names import DeviceClass, Topic
from contracts.places import PlaceKind
from ingest.pipeline.bounded import LruDict
from ingest.pipeline.channel_rules import KINDS_OF_CLASS
from ingest.pipeline.decode import kind_of
from ingest.pipeline.near_topics import clean
from ingest.pipeline.place_rules import settle_place
from ingest.pipeline.salvage import FieldFault
from inventory.pending import PendingDevice, PendingTopic

MAX_PENDING = 1_000
MAX_TOPIC = 200
"""Of a topic that waits, in characters."""

E = TypeVar("E", bound=Event)


class Admission:
    """The inventory as ingest needs it, and who knocked in vain. Bounded: 1,000 pending devices and topics each."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, str], DeviceConfigured] = {}
        self._sites: dict[str, str] = {}
        self._places: dict[str, dict[str, str | None]] = {}
        self._devices_waiting: LruDict[tuple[str, str], PendingDevice] = LruDict(MAX_PENDING, PendingDevice)
        self._topics_waiting: LruDict[str, PendingTopic] = LruDict(MAX_PENDING, PendingTopic)

    def apply_config(self, record: ConfigurationRecord) -> None:
        """Take one record of the inventory; kinds that the pipeline does not need only tell that the site exists."""
        self._sites.setdefault(record.site_id, record.site_id)
        match record:
            case SiteConfigured(removed=True):
                self._sites.pop(record.site_id, None)
            case PlaceConfigured(removed=True, place=place):
                self._places.get(record.site_id, {}).pop(place.place_id, None)
            case PlaceConfigured(place=place):
                self._places.setdefault(record.site_id, {})[place.place_id] = place.parent_id
                if place.kind is PlaceKind.SITE:
                    self._sites[record.site_id] = place.place_id
            case DeviceConfigured(removed=True):
                self._devices.pop((record.site_id, record.device_id), None)
            case DeviceConfigured():
                self._devices[record.site_id, record.device_id] = record
                self._devices_waiting.forget((record.site_id, record.device_id))
            case _:
                pass

    def sites(self) -> dict[str, str]:
        """Return site → the place id that stands for the whole of it."""
        return dict(self._sites)

    def check(self, event: Event, topic: Topic | None = None, now_ms: int = 0) -> DeviceConfigured:
        """Return the record of who says it; raise unless ``event`` may go to the log.

        Args:
            topic: where it came; None for a file's event, whose spool row names its box.
            now_ms: when it was received, whatever the clock of a device that nobody knows says.

        Raises:
            Rejected: ``not_configured`` (then the device is pending), ``wrong_device`` when another speaks for it.
        """
        record = self._devices.get((event.site_id, event.source_id))
        if record is None:
            self._note_unknown(event, topic, now_ms)
            raise Rejected(
                RejectReason.NOT_CONFIGURED,
                f"device {event.source_id!r} of site {event.site_id!r} is not in the inventory; it is now pending",
            )
        speaker = topic.device_id if topic else (event.spool.box_id if event.spool else event.source_id)
        self._check_speaker(record, event, speaker)
        if topic is not None and speaker == event.source_id and topic.device_class is not record.device_class:
            raise Rejected(
                RejectReason.WRONG_DEVICE,
                f"{event.source_id!r} speaks as {topic.device_class}, the inventory says {record.device_class}",
            )
        if type(event) not in KINDS_OF_CLASS[record.device_class]:
            raise Rejected(
                RejectReason.WRONG_DEVICE, f"a device of class {record.device_class} does not say {kind_of(event)}"
            )
        return record

    def placed(self, event: E, record: DeviceConfigured, faults: list[FieldFault]) -> E:
        """Return the event of a device at the place that counts; what it said instead goes to ``faults``."""
        if event.place_id == record.place_id:  # the usual case
            return event
        settled = settle_place(event.place_id, type(event), record, self._places.get(event.site_id, {}))
        if settled.reason is not None:
            faults.append(FieldFault("place_id", settled.reason, event.place_id))
        if settled.place_id == event.place_id:
            return event
        return msgspec.structs.replace(event, place_id=settled.place_id)

    def device(self, site_id: str, device_id: str) -> DeviceConfigured | None:
        """Return a device's record; None when the inventory has none."""
        return self._devices.get((site_id, device_id))

    def has_site(self, site_id: str) -> bool:
        """Return whether the inventory has a site."""
        return site_id in self._sites

    def known_ids(self, topic: Topic) -> tuple[str, ...]:
        """Return the ids in a topic that the inventory has: its site, and its device behind it."""
        if topic.site_id not in self._sites:
            return ()
        is_known = (topic.site_id, topic.device_id) in self._devices
        return (topic.site_id, topic.device_id) if is_known else (topic.site_id,)

    def unknown_topic(self, topic: str, size: int, now_ms: int) -> None:
        """Count a message on a topic that is none of ours, or names what can be no id."""
        name = clean(topic, MAX_TOPIC)
        waiting = self._topics_waiting[name]
        waiting.topic, waiting.count = name, waiting.count + 1
        waiting.last_bytes, waiting.last_ms = size, now_ms

    def pending_devices(self) -> list[PendingDevice]:
        """Return devices without a record, the one silent longest first."""
        return [waiting for _, waiting in self._devices_waiting.items()]

    def pending_topics(self) -> list[PendingTopic]:
        """Return topics that are none of ours, the one silent longest first."""
        return [waiting for _, waiting in self._topics_waiting.items()]

    def _check_speaker(self, record: DeviceConfigured, event: Event, speaker: str) -> None:
        if record.box_id is None and speaker != event.source_id:
            wrong = f"{speaker!r} spoke for {event.source_id!r}, which the inventory gives to no box"
        elif record.box_id is not None and speaker != record.box_id:
            wrong = f"{speaker!r} spoke for {event.source_id!r}, which the inventory gives to box {record.box_id!r}"
        elif speaker != event.source_id and not self._is_box(event.site_id, speaker):
            wrong = f"{speaker!r} is not an edge box of the inventory"
        else:
            return
        raise Rejected(RejectReason.WRONG_DEVICE, wrong)

    def _is_box(self, site_id: str, device_id: str) -> bool:
        record = self._devices.get((site_id, device_id))
        return record is not None and record.device_class is DeviceClass.EDGE

    def _note_unknown(self, event: Event, topic: Topic | None, now_ms: int) -> None:
        waiting = self._devices_waiting[event.site_id, event.source_id]
        waiting.site_id, waiting.device_id = event.site_id, event.source_id
        if topic is not None and topic.device_id == event.source_id:
            waiting.device_class = topic.device_class
        waiting.count += 1
        waiting.last_kind, waiting.last_ms = kind_of(event), now_ms
