"""The topics of a district: their names, how each is kept, and what differs from that. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.durations import DAY_MS, HOUR_MS

DEFAULT_PREFIX = "linli."
MAX_SNAPSHOT_BYTES = 9 * 1024 * 1024
"""A snapshot row is ≤ 8 MiB (docs/protocol.md#snapshots); producers and consumers of every topic allow for it."""
DEAD_RETENTION_HOURS = 72
SEGMENT_MS = DAY_MS
"""A record goes with the segment it lies in; by the brokers' default that stays open for a week of its own."""


class TopicNames(msgspec.Struct, frozen=True):
    """The names of one district's topics. Several districts may share brokers under different prefixes."""

    prefix: str = DEFAULT_PREFIX

    @property
    def log(self) -> str:
        """The log of batches (docs/protocol.md#the-log-on-kafka)."""
        return f"{self.prefix}log"

    @property
    def findings(self) -> str:
        """The topic of findings; those of log partition p are in partition p."""
        return f"{self.prefix}findings"

    @property
    def snapshots(self) -> str:
        """Rows and manifests (docs/protocol.md#snapshots), compacted, those of log partition p in partition p."""
        return f"{self.prefix}snapshots"

    @property
    def dead(self) -> str:
        """Sealed dead letters of all shards."""
        return f"{self.prefix}dead"

    @property
    def judged(self) -> str:
        """The group under which workers tell how far the log is judged; no topic, and nobody goes on from it."""
        return f"{self.prefix}judged"


class TopicState(msgspec.Struct, frozen=True):
    """A topic as the brokers have it. ``config`` holds every key in force."""

    topic_id: str
    partitions: int
    replication: int
    config: Mapping[str, str] = {}


class TopicSpec(msgspec.Struct, frozen=True):
    """A topic as it must be."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


_CLOCK = {"message.timestamp.type": "LogAppendTime"}
"""A writer whose clock is an hour ahead would be refused, and what one of 1970 wrote would be too old to keep."""


def topic_specs(
    names: TopicNames, *, partitions: int, replication: int, retention_hours: int, retention_bytes: int
) -> list[TopicSpec]:
    """Return every topic of a district.

    Args:
        names: their names.
        partitions: of log, findings and snapshots; the dead letters have one.
        replication: copies of each record.
        retention_hours: how long the log is kept; findings as long, since readers keep ids as long as the log.
        retention_bytes: most bytes of the log in each partition; -1 for no such bound.
    """
    kept = {"cleanup.policy": "delete", "retention.ms": str(retention_hours * HOUR_MS)}
    safe = {"min.insync.replicas": str(max(1, replication - 1)), "unclean.leader.election.enable": "false"} | _CLOCK
    kept["segment.ms"] = str(SEGMENT_MS)
    log = {**safe, **kept, "retention.bytes": str(retention_bytes)}
    findings = {**safe, **kept, "retention.bytes": "-1"}
    snapshots = {
        **safe,
        "cleanup.policy": "compact",
        # as the brokers' defaults have it, 875 MiB were read for 12 MiB of state; so: 30 MiB (docs/protocol.md)
        "segment.bytes": str(32 * 1024 * 1024),
        "segment.ms": "60000",
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": "60000",
        "max.message.bytes": str(MAX_SNAPSHOT_BYTES),
    }
    dead = {
        **safe,
        "cleanup.policy": "delete",
        "retention.ms": str(DEAD_RETENTION_HOURS * HOUR_MS),
        "segment.ms": str(HOUR_MS),  # what is not closed is not deleted
        "retention.bytes": str(1024 * 1024 * 1024),
    }
    return [
        TopicSpec(names.log, partitions, replication, log),
        TopicSpec(names.findings, partitions, replication, findings),
        TopicSpec(names.snapshots, partitions, replication, snapshots),
        TopicSpec(names.dead, 1, replication, dead),
    ]


def wrong_settings(spec: TopicSpec, found: TopicState) -> dict[str, str]:
    """Return the keys that must be set to another value, with that value."""
    return {key: value for key, value in spec.config.items() if not _as_good(key, found.config.get(key, ""), value)}


def wrong_shape(spec: TopicSpec, found: TopicState) -> list[str]:
    """Return what no setting can put right, a sentence each that says what to do."""
    wrong = []
    if found.partitions != spec.partitions:
        wrong.append(
            f"{spec.name} has {found.partitions} partitions, expected {spec.partitions}: set kafka.partitions to what "
            "is there, or begin a new log under another kafka.prefix; partitions are never added to a log"
        )
    if found.replication < spec.replication:
        wrong.append(
            f"{spec.name} has {found.replication} copies of each record, expected {spec.replication}: "
            "reassign its replicas with Kafka's own tools, or set kafka.replication"
        )
    return wrong


def differences(spec: TopicSpec, found: TopicState | None) -> list[str]:
    """Return what is wrong with a topic and what to do about it, a sentence each; empty when it is as it must be."""
    if found is None:
        return [f"{spec.name} is missing: run `linli topics create`"]
    return wrong_shape(spec, found) + [
        f"{spec.name} has {key} = {found.config.get(key, '(none)')}, expected {value}: run `linli topics create`"
        for key, value in wrong_settings(spec, found).items()
    ]


def _as_good(key: str, found: str, wanted: str) -> bool:
    """Compare settings: numbers may be written differently, and more copies in sync than asked for are no fault."""
    if found == wanted:
        return True
    try:
        given, asked = float(found), float(wanted)
    except ValueError:
        return False
    return given >= asked if key == "min.insync.replicas" else given == asked
