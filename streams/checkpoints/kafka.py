"""What an engine needs to start again, on Kafka: findings in their topic, rows and manifests in the compacted one.

Everything of log partition p lies in partition p of both. Keys of the snapshots topic are text: ``digest/p/site`` for a
row, ``digest/p`` for a manifest, ``failed/p/position`` and ``skipped/p/position``. A later record of a key replaces an
earlier one; a tombstone takes it back. Whoever writes last wins, also one that was thought dead: any row is right.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from contracts.contradictions import OnContradiction, pass_over_contradiction
from contracts.errors import LogBroken, Permanent, Transient
from contracts.findings import Output
from streams.checkpoints.findings_topic import encode_findings_record
from streams.engine.snapshot import SnapshotRow
from streams.kafka import KafkaCluster, KafkaRecord, KafkaSender, KafkaTails, SendFuture
from streams.topics import TopicNames

FLUSH_S = 130.0
"""A little more than the sender tries a record itself, so that its own error comes first."""
MAX_UNDER_WAY = 10_000
_FAILED, _SKIPPED = "failed", "skipped"
_READ = 500


class FindingLost(Permanent):
    """A finding was handed over and could not be kept: nothing may follow it; a new driver decides it again."""


class FailedPosition(msgspec.Struct, frozen=True, array_like=True):
    """How often feeding a position raised an uncaught error, and the last one."""

    times: int
    detail: str


class _Row(msgspec.Struct, frozen=True, array_like=True):
    position: int
    data: bytes


class KafkaCheckpointStore:
    """One partition's keep over ``sender`` (shared by all partitions of a worker) and ``tails``. Thread-safe.

    See :class:`streams.checkpoints.port.CheckpointStore`.
    """

    def __init__(
        self, cluster: KafkaCluster, names: TopicNames, partition: int, *, sender: KafkaSender, tails: KafkaTails
    ) -> None:
        self.on_contradiction: OnContradiction = pass_over_contradiction  # it does not know what was sent before
        self._cluster, self._names, self._partition = cluster, names, partition
        self._sender = sender
        self._tail = tails(names.snapshots, partition)
        self._lock = threading.RLock()
        self._under_way: deque[SendFuture] = deque()
        self._lost: FindingLost | None = None
        self._next: int | None = None  # the next offset of the snapshots topic to look at
        self._manifests: dict[str, bytes] = {}
        self._failed: dict[int, FailedPosition] = {}
        self._given_up: set[int] = set()

    def append_findings(self, outputs: Sequence[Output]) -> int:
        """Send at once, in order. When an earlier one was lost nothing follows it: this store is at its end."""
        with self._lock:
            while self._under_way and (self._under_way[0].done or len(self._under_way) > MAX_UNDER_WAY):
                self._wait(self._under_way[0])
                self._under_way.popleft()
            self._check()
            for output in outputs:
                future = self._sender.send(self._names.findings, self._partition, encode_findings_record(output))
                self._under_way.append(future)
        return len(outputs)

    def flush(self) -> None:
        """Wait until every finding handed over is durable."""
        with self._lock:
            waiting = list(self._under_way)
        for future in waiting:
            self._wait(future)
        with self._lock:
            self._check()

    def save(self, rows: Sequence[SnapshotRow], manifest: bytes, digest: str) -> None:
        """Write rows, then the manifest, all durable on return."""
        sent = [self._send(f"{digest}/{self._partition}/{row.site_id}", _row_value(row)) for row in rows]
        sent.append(self._send(f"{digest}/{self._partition}", manifest))
        for future in sent:
            future.wait(FLUSH_S)

    def load(self, digest: str) -> tuple[list[SnapshotRow], bytes | None]:
        """Read the partition to its end at this moment: the rows and the manifest of this version."""
        rows: dict[str, SnapshotRow] = {}
        with self._lock:
            self._next = None
            self._follow(digest, rows)
            return list(rows.values()), self._manifests.get(digest)

    def manifests(self) -> Mapping[str, bytes]:
        """Return the manifest of every version, by digest, as they stand now."""
        with self._lock:
            self._follow()
            return dict(self._manifests)

    def forget(self, digest: str) -> None:
        """Take back the manifest of this version."""
        self._send(f"{digest}/{self._partition}", None).wait(FLUSH_S)

    def note_failure(self, position: int, detail: str) -> int:
        """Record that feeding ``position`` raised an uncaught error; how often it has now."""
        times = self.failures().get(position, 0) + 1
        value = msgspec.msgpack.encode(FailedPosition(times, detail[:2000]))
        self._send(f"{_FAILED}/{self._partition}/{position}", value).wait(FLUSH_S)
        return times

    def failures(self) -> Mapping[int, int]:
        """Return position → how often feeding it raised an uncaught error."""
        return {position: times for position, (times, _) in self.failure_details().items()}

    def failure_details(self) -> dict[int, tuple[int, str]]:
        """Return position → how often feeding it raised an uncaught error, and the last one."""
        with self._lock:
            self._follow()
            return {position: (f.times, f.detail) for position, f in sorted(self._failed.items())}

    def forget_failure(self, position: int) -> bool:
        """Try ``position`` again from now on; whether it had failed."""
        known = position in self.failures()
        if known:
            self._send(f"{_FAILED}/{self._partition}/{position}", None).wait(FLUSH_S)
        return known

    def skip(self, position: int) -> None:
        """Treat this record as unreadable from the next opening on; said by a person."""
        self._send(f"{_SKIPPED}/{self._partition}/{position}", b"\x01").wait(FLUSH_S)

    def skipped(self) -> frozenset[int]:
        """Return positions that a person has given up."""
        with self._lock:
            self._follow()
            return frozenset(self._given_up)

    def place(self) -> str:
        """Return the topic and the partition."""
        return f"partition {self._partition} of {self._names.snapshots}"

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _wait(self, future: SendFuture) -> None:
        try:
            future.wait(FLUSH_S)
        except (Transient, Permanent) as error:
            with self._lock:
                self._lost = FindingLost(f"a finding of partition {self._partition} could not be kept: {error}")
            raise self._lost from error

    def _send(self, key: str, value: bytes | None) -> SendFuture:
        return self._sender.send(self._names.snapshots, self._partition, value, key=key.encode())

    def _follow(self, digest: str = "", rows: dict[str, SnapshotRow] | None = None) -> None:
        """Read on to the end at this moment, gathering the rows of ``digest``."""
        if self._next is None:
            self._manifests.clear()
            self._failed.clear()
            self._given_up.clear()
            self._next = self._tail.begin()
        end = self._tail.end()
        while self._next < end and (records := self._tail.read(self._next, _READ)):
            for record in records:
                self._take(record, digest, rows)
            self._next = records[-1].offset + 1

    def _take(self, record: KafkaRecord, digest: str, rows: dict[str, SnapshotRow] | None) -> None:
        what, *rest = (record.key or b"").decode(errors="replace").split("/")
        if len(rest) == 1:
            _put(self._manifests, what, record.value)
        elif what == _FAILED:
            _put(self._failed, int(rest[1]), None if record.value is None else _FAILURE.decode(record.value))
        elif what == _SKIPPED:
            self._given_up.add(int(rest[1]))
        elif what == digest and rows is not None:
            _put(rows, rest[1], None if record.value is None else _row_of(rest[1], digest, record.value))


def row_in(record: KafkaRecord) -> SnapshotRow | None:
    """Return the site's row that a record of the snapshots topic carries; None for every other record.

    Raises:
        LogBroken: it cannot be read.
    """
    digest, *rest = (record.key or b"").decode(errors="replace").split("/")
    if len(rest) != 2 or digest in {_FAILED, _SKIPPED} or record.value is None:
        return None
    return _row_of(rest[1], digest, record.value)


def _put(table: dict, key: object, value: object | None) -> None:  # type: ignore[type-arg]
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _row_value(row: SnapshotRow) -> bytes:
    return msgspec.msgpack.encode(_Row(row.position, row.data))


def _row_of(site_id: str, digest: str, value: bytes) -> SnapshotRow:
    try:
        row = _ROW.decode(value)
    except msgspec.MsgspecError as error:
        raise LogBroken(f"snapshot of site {site_id} of {len(value)} bytes cannot be read: {error}") from None
    return SnapshotRow(site_id, digest, row.position, row.data)


_ROW = msgspec.msgpack.Decoder(_Row)
_FAILURE = msgspec.msgpack.Decoder(FailedPosition)
