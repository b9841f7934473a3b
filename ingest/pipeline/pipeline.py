"""The ingest pipeline: what becomes of one message. Decoding, lanes, admission, clocks and rates in one order. Pure.

Every message ends as exactly one of ``Accepted``, ``Deferred``, ``Refused`` or ``Skipped``; what is held comes back
from :meth:`IngestPipeline.release`.
"""

from __future__ import annotations

import enum
import functools

import msgspec

from contracts.durations import HOUR_MS
from contracts.errors import Rejected, RejectReason
from contracts.event_times import restamp
from contracts.events import AnyEvent, DeviceEvent, is_life_safety
from contracts.events.identity import is_same_message
from contracts.names import PROBE_ROOT, Channel, DeviceClass, Topic, is_id, parse_topic, partition_of
from ingest.pipeline.acks import PendingPuback
from ingest.pipeline.admission import Admission
from ingest.pipeline.channel_rules import INBOUND
from ingest.pipeline.clock_rules import ClockRules
from ingest.pipeline.decode import decode, mentions_life_safety, spool_mark
from ingest.pipeline.device_notices import DeviceNotices
from ingest.pipeline.device_time import UNREADABLE_MS, claimed_ms
from ingest.pipeline.lane_guard import LaneGuard, LaneKey, lane_key
from ingest.pipeline.near_topics import near_topic
from ingest.pipeline.rate_limits import DelayQueue, TokenBuckets
from ingest.pipeline.salvage import FieldFault
from ingest.pipeline.unread_gates import UnreadGates
from ingest.settings import ShardSettings, owned_partitions

_PROBES = f"{PROBE_ROOT}/"
TOPICS = 16_384
"""So many are not taken apart again; a district has some 6,000. It was a good part of a message's cost."""

UNKNOWN_BEHIND_MS = HOUR_MS
"""How far proven time is taken to lie behind where nobody knows, as before the first probe of a new log."""


class Arrival(msgspec.Struct, frozen=True):
    """One message as the broker delivered it."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    retain: bool
    connection: int


class SpoolRow(msgspec.Struct, frozen=True):
    """A spool row, to be answered with ``got``."""

    key: LaneKey
    seq: int


class PendingAck(msgspec.Struct, frozen=True):
    """The acknowledgement that is due once a message is durable or refused."""

    receipt: PendingPuback | None = None
    row: SpoolRow | None = None


class SkipReason(enum.StrEnum):
    """Why a message was passed over without being wrong. Closed: a metric is labelled with it."""

    NOT_FOR_INGEST = "not_for_ingest"  # our own words to devices, and answers to commands
    CLEARED = "cleared"  # an empty retained message
    OTHER_SHARD = "other_shard"
    OTHER_SITE = "other_site"
    OVER_RATE = "over_rate"  # telemetry above the device's rate
    RETAINED = "retained"  # state of unknown age: no onset, and no sign of life
    LANE_GAP = "lane_gap"  # a spool row whose predecessors are missing; the box sends the lane again


class Accepted(msgspec.Struct, frozen=True):
    """An event for the log. ``faults``: what was wrong in its message, and was dropped or replaced."""

    event: AnyEvent
    partition: int
    pending_ack: PendingAck
    faults: tuple[FieldFault, ...] = ()


class Deferred(msgspec.Struct, frozen=True):
    """An event above its device's rate: it waits."""

    event: AnyEvent
    partition: int
    pending_ack: PendingAck
    faults: tuple[FieldFault, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """A message with a reason, for the dead letters. ``partition`` is where its spool row, if any, has its place;
    ``known``: the ids in its topic that the inventory has, its site first.
    """

    reason: RejectReason
    detail: str
    arrival: Arrival
    partition: int
    pending_ack: PendingAck
    event_id: str | None = None
    known: tuple[str, ...] = ()


class Skipped(msgspec.Struct, frozen=True):
    """A message passed over. ``lane`` is set for a lane gap: its ``got`` should be repeated."""

    reason: SkipReason
    pending_ack: PendingAck
    lane: LaneKey | None = None


MessageOutcome = Accepted | Deferred | Refused | Skipped


class _Place(msgspec.Struct, frozen=True):
    """The facts that a topic gives of every message on it; ``skip`` when none of them is for this shard."""

    topic: Topic
    partition: int
    skip: SkipReason | None = None


class IngestPipeline:
    """Everything between the broker and the batches.

    Args:
        settings: of the shard.
        run: a random name of this process, for events without an id of their own.

    ``offset_ms`` is the log's time less the ``now_ms`` that is given here, which never jumps. ``doubted``: the
    machine's clock is known to be wrong.
    """

    def __init__(self, settings: ShardSettings, run: str) -> None:
        self._partitions = settings.partitions
        self._owned = frozenset(owned_partitions(settings))
        self._sites = frozenset(settings.sites)
        self._run, self._count = run, 0
        self.offset_ms = 0
        self.doubted = False
        self._places: dict[str, _Place] = {}
        self.admission = Admission()
        self.clocks = ClockRules()
        self.notices = DeviceNotices()
        self._unread_gates = UnreadGates(run)
        self._lanes = LaneGuard()
        self._events = TokenBuckets(settings.events_per_s, settings.events_burst)
        self._alarms = TokenBuckets(settings.alarms_per_s, settings.alarms_burst)
        self._readings = TokenBuckets(settings.readings_per_s, settings.readings_burst)
        self._deferred: DelayQueue[Deferred] = DelayQueue()
        self._behind_ms = 0

    @property
    def deferred(self) -> int:
        """Events that wait for their device's rate."""
        return len(self._deferred)

    def take(
        self,
        arrival: Arrival,
        receipt: PendingPuback | None,
        now_ms: int,
        *,
        timely: bool,
        behind_ms: int = UNKNOWN_BEHIND_MS,
    ) -> MessageOutcome:
        """Decide what becomes of ``arrival``.

        Args:
            arrival: the message.
            receipt: of its PUBACK, None for QoS 0.
            now_ms: ingest time.
            timely: whether the broker had no queue for us, so that delays tell about clocks.
            behind_ms: how far proven time lies behind; counts while it has one.
        """
        self._behind_ms = 0 if timely else behind_ms
        pending_ack = PendingAck(receipt)
        if arrival.topic.startswith(_PROBES):  # another shard's
            return Skipped(SkipReason.NOT_FOR_INGEST, pending_ack)
        try:
            place = self._place(arrival.topic)
        except Rejected as error:
            self.admission.unknown_topic(arrival.topic, len(arrival.payload), now_ms)
            self._note_beside(arrival, error.reason, now_ms)
            self._note_capitals(arrival, now_ms)
            if error.reason is RejectReason.UNKNOWN_TOPIC:
                return Refused(error.reason, "not a topic of ours; it is now pending", arrival, -1, pending_ack)
            return Refused(error.reason, error.detail, arrival, -1, pending_ack)
        skip = place.skip or _skip_of(arrival, place.topic.channel)
        if skip is not None:
            return Skipped(skip, pending_ack)
        return self._take_own(place.topic, arrival, place.partition, pending_ack, now_ms, timely=timely)

    def release(self, now_ms: int) -> list[Accepted]:
        """Return held events whose turn has come, accepted now, and what ingest says of gates that it cannot read.

        Behind a queue of the broker they go as the message taken last did: what comes after them waits behind them.
        """
        released = [
            Accepted(
                msgspec.structs.replace(held.event, received_ms=now_ms + self.offset_ms),
                held.partition,
                held.pending_ack,
            )
            for held in self._deferred.release(self._events, now_ms, self._behind_ms)
        ]
        for said in self._unread_gates.take(now_ms + self.offset_ms):
            released.append(Accepted(said, partition_of(said.site_id, self._partitions), PendingAck()))
        return released

    def shift(self, by_ms: int) -> None:
        """Move the log's time: from now on the machine's clock is right, and it was not before."""
        self.offset_ms += by_ms
        self.clocks.shift(by_ms)
        self._deferred.change(lambda held: msgspec.structs.replace(held, event=restamp(held.event, by_ms)))

    def _place(self, text: str) -> _Place:
        """Return the facts of a topic; of those heard before without taking it apart again."""
        found = self._places.get(text)
        if found is None:
            found = self._find(text)
            if len(self._places) >= TOPICS:
                self._places.clear()
            self._places[text] = found
        return found

    def _find(self, text: str) -> _Place:
        topic = parse_topic(text)
        partition = partition_of(topic.site_id, self._partitions)
        if topic.channel not in INBOUND:
            return _Place(topic, partition, SkipReason.NOT_FOR_INGEST)
        if partition not in self._owned:
            return _Place(topic, partition, SkipReason.OTHER_SHARD)
        if self._sites and topic.site_id not in self._sites:
            return _Place(topic, partition, SkipReason.OTHER_SITE)
        return _Place(topic, partition)

    def _take_own(
        self, topic: Topic, arrival: Arrival, partition: int, pending_ack: PendingAck, now_ms: int, *, timely: bool
    ) -> MessageOutcome:
        event: DeviceEvent | None = None
        self._count += 1
        faults: list[FieldFault] = []
        try:
            event = decode(topic, arrival.payload, f"{self._run}-{self._count}", faults)
            if event.spool is not None:
                key = lane_key(event.site_id, event.spool)
                if not self._lanes.take(key, event.spool):
                    return Skipped(SkipReason.LANE_GAP, pending_ack, key)
                pending_ack = PendingAck(pending_ack.receipt, SpoolRow(key, event.spool.seq))
                if event.spool.first is not None:
                    event = msgspec.structs.replace(event, spool=msgspec.structs.replace(event.spool, first=None))
            received_ms = now_ms + self.offset_ms
            device = self.admission.check(event, topic, received_ms)
            event = self.admission.placed(event, device, faults)
            claimed = claimed_ms(arrival.payload) if event.at_ms == UNREADABLE_MS else None
            event = self.clocks.apply(event, received_ms, timely=timely, claimed=claimed, doubted=self.doubted)
        except Rejected as error:
            if event is None:
                pending_ack = self._ack_of_unreadable_row(topic, arrival, pending_ack)
            event_id = event.event_id if event is not None else None
            self._note_refused(topic, event, error, arrival, now_ms)
            known = self.admission.known_ids(topic)
            return Refused(error.reason, error.detail, arrival, partition, pending_ack, event_id, known)
        self.notices.accepted(device, event, faults, now_ms)
        outcome = self._paced(topic, arrival, event, partition, pending_ack, now_ms)
        if faults and isinstance(outcome, Accepted | Deferred):
            return msgspec.structs.replace(outcome, faults=tuple(faults))
        return outcome

    def _note_refused(
        self, topic: Topic, event: DeviceEvent | None, error: Rejected, arrival: Arrival, now_ms: int
    ) -> None:
        """Let people know that a configured device said something that was refused: it may have been an alarm."""
        self._unread_gates.refused(topic, event, arrival.payload, self.admission, now_ms)
        device = self.admission.device(topic.site_id, event.source_id if event is not None else topic.device_id)
        if device is None:
            return
        alarming = is_life_safety(event) if event is not None else mentions_life_safety(arrival.payload)
        self.notices.refused(device, error.reason, now_ms, life_safety=alarming)

    def _note_beside(self, arrival: Arrival, reason: RejectReason, now_ms: int) -> None:
        """Let people know that a device of life safety speaks beside its topic, or under what can be no id."""
        near = near_topic(arrival.topic)
        if near is None or arrival.retain or near.topic.channel not in INBOUND:
            return
        topic = near.topic
        device = self.admission.device(topic.site_id, topic.device_id)
        if device is not None:
            self.notices.refused(device, reason, now_ms, life_safety=mentions_life_safety(arrival.payload))
        is_stranger = self.admission.has_site(topic.site_id) and not is_id(near.said)
        if device is None and is_stranger and topic.device_class is DeviceClass.SENSOR:
            self.notices.stranger(topic.site_id, near.said, reason, now_ms)

    def _note_capitals(self, arrival: Arrival, now_ms: int) -> None:
        """Take a topic that is none of ours for the one it is in small letters, if it is: a gate may write ids so."""
        try:
            place = self._place(arrival.topic.lower())
        except Rejected:
            return
        if place.skip is None:
            self._unread_gates.refused(place.topic, None, arrival.payload, self.admission, now_ms)

    def _ack_of_unreadable_row(self, topic: Topic, arrival: Arrival, pending_ack: PendingAck) -> PendingAck:
        """Answer a bad row of a box's spool like a good one, or its lane would stick at it forever."""
        mark = spool_mark(arrival.payload) if topic.device_class is DeviceClass.EDGE else None
        if mark is None or mark.box_id != topic.device_id:
            return pending_ack
        key = lane_key(topic.site_id, mark)
        return PendingAck(pending_ack.receipt, SpoolRow(key, mark.seq)) if self._lanes.take(key, mark) else pending_ack

    def _paced(
        self, topic: Topic, arrival: Arrival, event: DeviceEvent, partition: int, pending_ack: PendingAck, now_ms: int
    ) -> MessageOutcome:
        """Spool rows are paced by their acknowledgements, everyone else by a bucket.

        Life safety has a bucket of its own, so it never waits behind what else a device says. Over that it is paced as
        everything is: no device has thousands of emergencies at once.
        """
        key = (event.site_id, event.source_id)
        if event.spool is not None or (is_life_safety(event) and self._alarms.take(key, now_ms)):
            return Accepted(event, partition, pending_ack)
        if topic.channel is Channel.TELE:
            if self._readings.take(key, now_ms, self._behind_ms):
                return Accepted(event, partition, pending_ack)
            return Skipped(SkipReason.OVER_RATE, pending_ack)
        waits = self._deferred.is_waiting(key)
        if not waits and self._events.take(key, now_ms, self._behind_ms):
            return Accepted(event, partition, pending_ack)
        held = Deferred(event, partition, pending_ack)
        renewed = waits and self._deferred.renew(key, held, functools.partial(_sent_again, held))
        if renewed or self._deferred.defer(key, held):
            return held
        self._unread_gates.refused(topic, event, arrival.payload, self.admission, now_ms)
        return Refused(
            RejectReason.OVER_LIMIT,
            "more events than the device's rate allows",
            arrival,
            partition,
            pending_ack,
            event.event_id,
        )


def _sent_again(held: Deferred, waiting: Deferred) -> bool:
    """Return whether ``held`` is what waits, sent again over a new connection: then it waits once, answered there.

    What was held would else be appended twice, far apart: further than what is remembered of its site may reach.
    """
    new, old = held.pending_ack.receipt, waiting.pending_ack.receipt
    if new is None or old is None or new.connection == old.connection:
        return False
    return is_same_message(waiting.event, held.event)


def _skip_of(arrival: Arrival, channel: Channel) -> SkipReason | None:
    """Return why a message says nothing of now, on a topic that is ours."""
    if not arrival.payload and channel is Channel.STATE:
        return SkipReason.CLEARED
    return SkipReason.RETAINED if arrival.retain else None
