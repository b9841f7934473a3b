"""The findings topic: what the rules of a partition gave, in order, and what is wrong with the partition itself.

A finding of log partition p lies in partition p. Workers that die repeat what they sent; whoever reads ignores an id it
has. ``n`` of a record is its offset + 1, so that 0 is before the first, as in ``engine.db``.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.errors import LogBroken
from contracts.findings import Finding, Rejudge
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.kafka import KafkaCluster, KafkaTails

_SCAN = 500


class PartitionAlarm(msgspec.Struct, frozen=True):
    """An alarm about a partition; ``detail`` is codes and numbers, no personal data."""

    alarm: DriverAlarm
    partition: int
    detail: str
    at_ms: int

    @property
    def subject(self) -> str:
        """The subject of the alarm, for those who keep one row for each."""
        return f"partition-{self.partition}"


FindingsRecord = Finding | Rejudge | PartitionAlarm
_KINDS: dict[str, type[FindingsRecord]] = {
    "finding": Finding,
    "rejudge": Rejudge,
    "alarm": PartitionAlarm,
    "later_alarm": PartitionAlarm,
}
_TAGS: dict[type[FindingsRecord], str] = {Finding: "finding", Rejudge: "rejudge", PartitionAlarm: "alarm"}
_LATER = frozenset({DriverAlarm.SNAPSHOT_WAITS})
"""Alarms that came after the first ones: readers of that time pass over a kind they do not know, not over a code."""


def encode_findings_record(said: FindingsRecord) -> bytes:
    """Return a record's value: its kind and itself, as msgpack."""
    later = isinstance(said, PartitionAlarm) and said.alarm in _LATER
    return _ENCODER.encode(("later_alarm" if later else _TAGS[type(said)], said))


def decode_findings_record(value: bytes) -> FindingsRecord | None:
    """Return what the value says; None for a kind, or an alarm, that a newer program has added.

    Raises:
        LogBroken: it cannot be read.
    """
    try:
        tag, body = _PAIR.decode(value)
        kind = _KINDS.get(tag)
        if kind is None or (kind is PartitionAlarm and _ALARM.decode(body).alarm not in _ALARMS):
            return None
        return _DECODERS[kind].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogBroken(f"a record of {len(value)} bytes in the findings topic cannot be read: {error}") from None


class KafkaFindings:
    """One partition's findings by number, as :class:`streams.checkpoints.sqlite.SqliteCheckpointStore` gives them."""

    def __init__(self, cluster: KafkaCluster, topic: str, partition: int, tails: KafkaTails | None = None) -> None:
        self._cluster, self._topic, self._partition = cluster, topic, partition
        self._tail = (tails or cluster.tails())(topic, partition)
        self._kept_ms: dict[int, int] = {}  # of the records read last

    def identity(self) -> str:
        """Return topic and partition: numbers mean nothing in another."""
        return f"kafka/{self._cluster.topic_id(self._topic)}/{self._partition}"

    def end(self) -> int:
        """Return the number of the newest record (0: there is none)."""
        return self._tail.end()

    def records_after(self, n: int, limit: int, wait_s: float = 0.0) -> list[tuple[int, FindingsRecord]]:
        """Return at most ``limit`` records with a number above ``n``, in order; empty only at the end.

        Raises:
            LogBroken: they are gone, the topic was truncated or made again, or one cannot be read.
            Transient: the brokers do not answer.
        """
        offset = n or self._tail.begin()
        while records := self._tail.read(offset, limit, wait_s):
            self._kept_ms = {record.offset + 1: record.timestamp_ms for record in records}
            said = [(record.offset + 1, decode_findings_record(record.value or b"")) for record in records]
            known = [(number, one) for number, one in said if one is not None]
            if known:
                return known
            offset = records[-1].offset + 1
        return []

    def kept_ms(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return when each of those read last was sent, epoch ms UTC."""
        return {n: self._kept_ms[n] for n in numbers if n in self._kept_ms}

    def findings_after(self, n: int, limit: int) -> list[tuple[int, Finding]]:
        """Return at most ``limit`` findings with a number above ``n``, in order; empty only when there are none."""
        found: list[tuple[int, Finding]] = []
        while not found and (said := self.records_after(n, max(limit, _SCAN))):
            found = [(number, one) for number, one in said if isinstance(one, Finding)]
            n = said[-1][0]
        return found[:limit]


class _NamedAlarm(msgspec.Struct):
    alarm: str


_ALARMS = frozenset(DriverAlarm)
_ALARM = msgspec.msgpack.Decoder(_NamedAlarm)
_ENCODER = msgspec.msgpack.Encoder()
_PAIR = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])
_DECODERS: dict[type[FindingsRecord], msgspec.msgpack.Decoder[FindingsRecord]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in _TAGS
}
