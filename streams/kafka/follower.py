"""Many partitions of Kafka followed at once: one fetch brings what any of them has, each reader takes its own."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kafka import errors as kafka_errors  # type: ignore[import-untyped]

from streams.kafka.tails import KafkaRecord, KafkaTail, KafkaTails, name_of

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster

FOLLOW_STALE_S = 0.05
"""How much later who follows many partitions may hear of news, to ask for all of them at once."""
ROUNDS_STALE_S = 1.0
"""The same for who comes by every other second: a round asks once."""
AHEAD_BYTES = 512 * 1024
"""What waits here of one partition; with more, no more of it is fetched until its reader comes."""
_FETCH_RECORDS = 100  # out of the client's hands at once at least, of all partitions


class KafkaFollower(KafkaTails):
    """Readers of many partitions, of one topic or more, that go forward together. Thread-safe.

    A partition that was read is fetched along with the others from where its reader stands. Whoever reads elsewhere is
    turned to; whoever stays away costs what waits for it, :data:`AHEAD_BYTES` and one fetch.

    Args:
        cluster: the brokers.
        stale_s: how old the ends may be that :meth:`read` believes; those of all partitions are asked for together.
        monotonic_s: the clock that tells how old they are. How long to wait for brokers is real time.
    """

    fetch_bytes = AHEAD_BYTES // 2

    def __init__(
        self, cluster: KafkaCluster, stale_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(cluster)
        self._stale_s, self._monotonic_s = stale_s, monotonic_s
        self._ends: dict[str, tuple[float, dict[Any, int]]] = {}  # by topic: asked for when, and the answer
        self._readers: set[Any] = set()
        self._ahead: dict[Any, _Ahead] = {}

    def __call__(self, topic: str, partition: int) -> KafkaTail:
        """Return a reader of this partition over this connection."""
        tail = KafkaTail(self, topic, partition)
        with self._lock:
            self._readers.add(tail.at)
        return tail

    def read(self, at: Any, offset: int, limit: int, wait_s: float) -> list[KafkaRecord]:
        """See :meth:`KafkaTail.read`. Fewer than ``limit`` only where the partition ended, as far as is known."""
        with self._asked(f"to read {name_of(at)} from {offset}") as consumer:
            try:
                return self._read(consumer, at, offset, limit, wait_s)
            except kafka_errors.OffsetOutOfRangeError as error:
                self._leave(consumer, at)
                raise self._out_of_range(at, offset) from error

    def close(self) -> None:
        """Close the connection; what was not read yet is fetched again."""
        with self._lock:
            self._ahead.clear()
            super().close()

    def _read(self, consumer: Any, at: Any, offset: int, limit: int, wait_s: float) -> list[KafkaRecord]:
        waited_s = time.monotonic() + wait_s
        deadline_s = max(waited_s, time.monotonic()) + self.cluster.answer_s
        found = self._taken(consumer, at, offset, limit)
        while len(found) < limit:
            upto = found[-1].offset + 1 if found else offset
            end = self._end_seen(at, upto)
            now_s = time.monotonic()
            if (upto == end and now_s >= waited_s) or (upto >= end and found):
                break  # what lies beyond the end, the next read says
            if upto > end:
                raise kafka_errors.OffsetOutOfRangeError
            failure = self._turned(consumer, at, upto).failure
            if failure is not None and found:
                break  # the next read says it
            if failure is not None:
                self._leave(consumer, at)
                raise failure
            if now_s >= deadline_s:
                raise kafka_errors.KafkaTimeoutError(f"records up to {end} are there and do not come")
            with self._told_apart(consumer, at):
                if upto < end and consumer.position(at, timeout_ms=0) >= end:
                    break  # nothing but holes
                self._fetch(consumer, (deadline_s if upto < end else waited_s) - now_s, max(limit, _FETCH_RECORDS))
            if came := self._taken(consumer, at, upto, limit - len(found)):
                found += came
                deadline_s = time.monotonic() + self.cluster.answer_s
        return found

    def _taken(self, consumer: Any, at: Any, offset: int, limit: int) -> list[KafkaRecord]:
        """Return what waits here from this offset on; makes room for more."""
        ahead = self._ahead.get(at)
        if ahead is None or not ahead.go_to(offset):
            return []
        found = ahead.take(limit)
        if ahead.paused and ahead.failure is None and ahead.bytes < AHEAD_BYTES // 2:
            ahead.paused = False
            consumer.resume(at)
        return found

    def _turned(self, consumer: Any, at: Any, offset: int) -> _Ahead:
        """Return what waits here of a partition, which is being fetched from this offset on."""
        ahead = self._ahead.get(at)
        if ahead is not None and ahead.go_to(offset):
            return ahead
        self._ahead[at] = ahead = _Ahead(offset)
        consumer.assign(list(self._ahead))
        consumer.seek(at, offset)
        consumer.resume(at)
        return ahead

    def _fetch(self, consumer: Any, wait_s: float, records: int) -> None:
        """Take what comes of any partition to where its reader finds it."""
        fetched = consumer.poll(timeout_ms=math.ceil(wait_s * 1000), max_records=records)
        for at, came in fetched.items():
            ahead = self._ahead[at]
            ahead.add(came)
            if ahead.bytes >= AHEAD_BYTES:
                ahead.paused = True
                consumer.pause(at)

    @contextlib.contextmanager
    def _told_apart(self, consumer: Any, at: Any) -> Iterator[None]:
        """Keep what the client says inside to be wrong with a partition for the reader of that one."""
        try:
            yield
        except kafka_errors.OffsetOutOfRangeError as error:
            self._fail(consumer, error.args[0], error)
        except kafka_errors.LogTruncationError as error:
            self._fail(consumer, error.divergent_offsets, error)
        except kafka_errors.KafkaError:
            if list(self._ahead) == [at]:
                raise
            self._ahead = {at: self._ahead[at]}  # it does not say of which: the others come back as they are read
            consumer.assign([at])

    def _fail(self, consumer: Any, partitions: Iterable[Any], error: Exception) -> None:
        for at in self._ahead.keys() & set(partitions):
            self._ahead[at].failure = error
            consumer.pause(at)

    def _leave(self, consumer: Any, at: Any) -> None:
        """Fetch no more of a partition until it is read again."""
        if self._ahead.pop(at, None) is not None:
            consumer.pause(at)

    def _end_seen(self, at: Any, offset: int) -> int:
        """Return the end, or what it was no longer ago than is allowed, but never before what was read already."""
        asked_s, ends = self._ends.get(at.topic, (-math.inf, {}))
        if self._monotonic_s() - asked_s > self._stale_s or ends.get(at, -1) < offset:
            ends = self._ask_ends(sorted(other for other in self._readers if other.topic == at.topic))
            self._ends[at.topic] = (self._monotonic_s(), ends)
        return ends[at]


class _Ahead:
    """Records fetched of one partition that wait for its reader: everything from ``start`` on, holes apart."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.bytes = 0
        self.paused = False
        self.failure: Exception | None = None  # of the brokers, behind what waits
        self._records: deque[KafkaRecord] = deque()

    def go_to(self, offset: int) -> bool:
        """Leave out what lies before ``offset``; False when nothing is known of what lies there."""
        if offset != self.start and not (self._records and self.start <= offset <= self._records[-1].offset + 1):
            return False
        while self._records and self._records[0].offset < offset:
            self._pop()
        self.start = offset
        return True

    def take(self, limit: int) -> list[KafkaRecord]:
        """Return the first ``limit`` of them, away from here."""
        found = [self._pop() for _ in range(min(limit, len(self._records)))]
        if found:
            self.start = found[-1].offset + 1
        return found

    def add(self, records: list[Any]) -> None:
        """Add the records that come next, as the client gives them."""
        for record in records:
            kept = KafkaRecord(record.offset, record.key, record.value, record.timestamp)
            self._records.append(kept)
            self.bytes += _size(kept)

    def _pop(self) -> KafkaRecord:
        record = self._records.popleft()
        self.bytes -= _size(record)
        return record


def _size(record: KafkaRecord) -> int:
    return len(record.key or b"") + len(record.value or b"")
