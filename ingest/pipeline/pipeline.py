"""The border: what becomes of one message. Decoding, lanes, admission, clocks and rates in one order. Pure.

Every message ends as exactly one of ``Accepted``, ``Held``, ``Refused`` or ``Skipped``; what is held comes back from
:meth:`Border.release`.
"""

from __future__ import annotations

import enum
import functools

import msgspec

from contracts.errors import Rejected, RejectReason
from contracts.events import AnyEvent, DeviceEvent, is_life_safety
from contracts.names import PROBE_ROOT, Channel, DeviceClass, Topic, parse_topic, partition_of
from ingest.pipeline.acks import Receipt
from ingest.pipeline.admission import Admission
from ingest.pipeline.channel_rules import INBOUND
from ingest.pipeline.clock_rules import ClockRules
from ingest.pipeline.decode import decode, spool_mark
from ingest.pipeline.lane_guard import LaneGuard, LaneKey, lane_key
from ingest.pipeline.rate_limits import Bench, TokenBuckets
from ingest.settings import ShardSettings, owned_partitions

TOPICS = 16_384
"""Those heard last are not taken apart again; a district has some 6,000. It was a good part of a message's cost."""


class Arrival(msgspec.Struct, frozen=True):
    """One message as the broker delivered it."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    retain: bool
    connection: int


class Row(msgspec.Struct, frozen=True):
    """A spool row, to be answered with ``got``."""

    key: LaneKey
    seq: int


class Debt(msgspec.Struct, frozen=True):
    """What is owed to the sender once its message is durable or refused."""

    receipt: Receipt | None = None
    row: Row | None = None


class SkipReason(enum.StrEnum):
    """Why a message was passed over without being wrong. Closed: a metric is labelled with it."""

    NOT_FOR_INGEST = "not_for_ingest"  # our own words to devices, and answers to commands
    CLEARED = "cleared"  # an empty retained message
    OTHER_SHARD = "other_shard"
    OTHER_SITE = "other_site"
    OVER_RATE = "over_rate"  # telemetry above the device's rate
    LANE_GAP = "lane_gap"  # a spool row whose predecessors are missing; the box sends the lane again


class Accepted(msgspec.Struct, frozen=True):
    """An event for the log."""

    event: AnyEvent
    partition: int
    debt: Debt


class Held(msgspec.Struct, frozen=True):
    """An event above its device's rate: it waits."""

    event: AnyEvent
    partition: int
    debt: Debt


class Refused(msgspec.Struct, frozen=True):
    """A message with a reason, for the dead letters. ``partition`` is where its spool row, if any, has its place."""

    reason: RejectReason
    detail: str
    arrival: Arrival
    partition: int
    debt: Debt
    event_id: str | None = None


class Skipped(msgspec.Struct, frozen=True):
    """A message passed over. ``lane`` is set for a lane gap: its ``got`` should be repeated."""

    reason: SkipReason
    debt: Debt
    lane: LaneKey | None = None


Outcome = Accepted | Held | Refused | Skipped


class _Place(msgspec.Struct, frozen=True):
    """What a topic says of every message on it; ``skip`` when none of them is for this shard."""

    topic: Topic
    partition: int
    skip: SkipReason | None = None


class Border:
    """Everything between the broker and the batches.

    Args:
        settings: of the shard.
        run: a random name of this process, for events without an id of their own.
    """

    def __init__(self, settings: ShardSettings, run: str) -> None:
        self._partitions = settings.partitions
        self._owned = frozenset(owned_partitions(settings))
        self._sites = frozenset(settings.sites)
        self._run, self._count = run, 0
        self._place = functools.lru_cache(maxsize=TOPICS)(self._find)
        self.admission = Admission()
        self.clocks = ClockRules()
        self._lanes = LaneGuard()
        self._events = TokenBuckets(settings.events_per_s, settings.events_burst)
        self._readings = TokenBuckets(settings.readings_per_s, settings.readings_burst)
        self._bench: Bench[Held] = Bench()

    @property
    def held(self) -> int:
        """Events that wait for their device's rate."""
        return len(self._bench)

    def take(self, arrival: Arrival, receipt: Receipt | None, now_ms: int, *, timely: bool) -> Outcome:
        """What becomes of ``arrival``.

        Args:
            arrival: the message.
            receipt: of its PUBACK, None for QoS 0.
            now_ms: ingest time.
            timely: whether the broker had no queue for us, so that delays tell about clocks.
        """
        debt = Debt(receipt)
        if arrival.topic.startswith(f"{PROBE_ROOT}/"):  # another shard's
            return Skipped(SkipReason.NOT_FOR_INGEST, debt)
        try:
            place = self._place(arrival.topic)
        except Rejected as error:
            if error.reason is RejectReason.UNKNOWN_TOPIC:
                self.admission.unknown_topic(arrival.topic, len(arrival.payload), now_ms)
                return Refused(error.reason, "not a topic of ours; it is now pending", arrival, -1, debt)
            return Refused(error.reason, error.detail, arrival, -1, debt)
        if place.skip is not None:
            return Skipped(place.skip, debt)
        if not arrival.payload and place.topic.channel is Channel.STATE:
            return Skipped(SkipReason.CLEARED, debt)
        return self._take_own(place.topic, arrival, place.partition, debt, now_ms, timely=timely)

    def release(self, now_ms: int) -> list[Accepted]:
        """Held events whose turn has come, accepted now."""
        return [
            Accepted(msgspec.structs.replace(held.event, received_ms=now_ms), held.partition, held.debt)
            for held in self._bench.release(self._events, now_ms)
        ]

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
        self, topic: Topic, arrival: Arrival, partition: int, debt: Debt, now_ms: int, *, timely: bool
    ) -> Outcome:
        event: DeviceEvent | None = None
        self._count += 1
        try:
            event = decode(topic, arrival.payload, f"{self._run}-{self._count}")
            if event.spool is not None:
                key = lane_key(event.site_id, event.spool)
                if not self._lanes.take(key, event.spool):
                    return Skipped(SkipReason.LANE_GAP, debt, key)
                debt = Debt(debt.receipt, Row(key, event.spool.seq))
                event = msgspec.structs.replace(event, spool=msgspec.structs.replace(event.spool, first=None))
            self.admission.check(event, topic)
            event = self.clocks.apply(event, now_ms, timely=timely and not arrival.retain)
        except Rejected as error:
            if event is None:
                debt = self._unreadable_row(topic, arrival, debt)
            event_id = event.event_id if event is not None else None
            return Refused(error.reason, error.detail, arrival, partition, debt, event_id)
        return self._paced(topic, arrival, event, partition, debt, now_ms)

    def _unreadable_row(self, topic: Topic, arrival: Arrival, debt: Debt) -> Debt:
        """A bad row of a box's spool is answered like a good one, or its lane would stick at it for ever."""
        mark = spool_mark(arrival.payload) if topic.device_class is DeviceClass.EDGE else None
        if mark is None or mark.box_id != topic.device_id:
            return debt
        key = lane_key(topic.site_id, mark)
        return Debt(debt.receipt, Row(key, mark.seq)) if self._lanes.take(key, mark) else debt

    def _paced(
        self, topic: Topic, arrival: Arrival, event: DeviceEvent, partition: int, debt: Debt, now_ms: int
    ) -> Outcome:
        """Spool rows are paced by their acknowledgements, life safety by nothing; everyone else by a bucket."""
        if event.spool is not None or is_life_safety(event):
            return Accepted(event, partition, debt)
        key = (event.site_id, event.source_id)
        if topic.channel is Channel.TELE:
            if self._readings.take(key, now_ms):
                return Accepted(event, partition, debt)
            return Skipped(SkipReason.OVER_RATE, debt)
        if not self._bench.waits(key) and self._events.take(key, now_ms):
            return Accepted(event, partition, debt)
        held = Held(event, partition, debt)
        if self._bench.hold(key, held):
            return held
        return Refused(
            RejectReason.OVER_LIMIT,
            "more events than the device's rate allows",
            arrival,
            partition,
            debt,
            event.event_id,
        )
