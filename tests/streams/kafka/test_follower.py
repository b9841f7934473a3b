"""Many partitions followed over one connection: each gives its own records in order, whatever happens to the others."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition, errors  # type: ignore[import-untyped]

from contracts.errors import LogBroken, Permanent, Transient
from streams.kafka import KafkaCluster, KafkaFollower, KafkaTail
from streams.kafka.follower import AHEAD_BYTES
from tests.support.kafka import RunningKafka, make_topics

pytestmark = [pytest.mark.service, pytest.mark.patient]
PARTITIONS = 6


@pytest.fixture
def cluster(kafka: RunningKafka) -> Iterator[KafkaCluster]:
    with KafkaCluster(kafka.url) as opened:
        yield opened
    kafka.revive()


class Topic:
    """A topic that is being written, and what each of its partitions must give."""

    def __init__(self, cluster: KafkaCluster, name: str, seed: int = 0) -> None:
        self.name = name
        self.values: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self._sender = cluster.producer(compress=True)
        self._chance = random.Random(seed)

    def write(self, partition: int, count: int, size: int = 10) -> None:
        """So many more records, durable on return."""
        for _ in range(count):
            value = self._chance.randbytes(size)
            self._sender.send(self.name, partition, value)
            self.values[partition].append(value)
        self._sender.flush(60)


@pytest.fixture
def topic(kafka: RunningKafka, cluster: KafkaCluster) -> Topic:
    return Topic(cluster, make_topics(kafka.url, partitions=PARTITIONS).log)


class Clock:
    """Stands until it is set: how old an answer is must not depend on how fast this machine is."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def asking(cluster: KafkaCluster) -> KafkaFollower:
    """A follower that believes no end of before: its clock moves on by more than it bears whenever it looks."""
    return cluster.follower(0.5, itertools.count().__next__)


def read_all(tail: KafkaTail, limit: int = 7, offset: int = 0) -> list[bytes]:
    """The values from ``offset`` to the end, page by page."""
    found: list[bytes] = []
    while records := tail.read(offset, limit):
        assert [r.offset for r in records] == list(range(offset, offset + len(records)))
        found += [r.value or b"" for r in records]
        offset += len(records)
    return found


def waiting(follower: KafkaFollower, topic: str, partition: int) -> int:
    """The bytes that wait for the reader of a partition."""
    return follower._ahead[TopicPartition(topic, partition)].bytes


def delete_before(kafka: RunningKafka, topic: str, partition: int, offset: int) -> None:
    """Take records away, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=[f"127.0.0.1:{kafka.port}"])
    admin.delete_records({TopicPartition(topic, partition): offset})
    admin.close()


def fail(follower: KafkaFollower, with_: Sequence[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Return what the client says the next times it is asked for records."""
    poll, left = follower._consumer.poll, iter(with_)

    def failing(**how: Any) -> Any:
        if (error := next(left, None)) is not None:
            raise error
        return poll(**how)

    monkeypatch.setattr(follower._consumer, "poll", failing)


def test_pages_of_one_partition_and_another_in_turn_are_each_ones_own(cluster: KafkaCluster, topic: Topic) -> None:
    for partition in range(PARTITIONS):
        topic.write(partition, 20 + partition)
    follower = cluster.follower(60.0)
    tails = [follower(topic.name, p) for p in range(PARTITIONS)]
    found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    while any(pages := [tail.read(len(found[p]), 3) for p, tail in enumerate(tails)]):
        for partition, page in enumerate(pages):
            found[partition] += [record.value or b"" for record in page]
    assert found == topic.values


def test_a_page_is_short_only_at_the_end(cluster: KafkaCluster, topic: Topic) -> None:
    topic.write(0, 60, size=AHEAD_BYTES // 25)  # several fetches, more than may wait
    topic.write(1, 1)
    follower = cluster.follower(60.0)
    ends = [len(follower(topic.name, p).read(0, 50)) for p in (1, 0)]
    assert ends == [1, 50]
    assert [r.offset for r in follower(topic.name, 0).read(50, 50)] == list(range(50, 60))


def test_two_topics_are_followed_over_one_connection(kafka: RunningKafka, cluster: KafkaCluster, topic: Topic) -> None:
    other = Topic(cluster, make_topics(kafka.url, partitions=PARTITIONS).findings, seed=1)
    follower = asking(cluster)
    for partition in (0, 3):
        topic.write(partition, 30)
        other.write(partition, 40)
    for partition in range(PARTITIONS):
        assert read_all(follower(topic.name, partition)) == topic.values[partition]
        assert read_all(follower(other.name, partition)) == other.values[partition]


def test_an_end_is_believed_until_it_is_too_old_or_what_is_read_lies_beyond_it(
    cluster: KafkaCluster, topic: Topic
) -> None:
    clock = Clock()
    follower = cluster.follower(1.0, clock)
    tails = [follower(topic.name, p) for p in range(2)]
    assert [tail.read(0, 5) for tail in tails] == [[], []]  # asked for both
    topic.write(0, 2)
    topic.write(1, 2)
    assert tails[0].read(0, 5) == []
    assert len(tails[0].read(1, 5)) == 1  # beyond what was known: asked again, for both
    assert len(tails[1].read(0, 5)) == 2
    topic.write(1, 1)
    clock.now_s += 1.0
    assert tails[1].read(2, 5) == []
    clock.now_s += 0.1
    assert len(tails[1].read(2, 5)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_reads_and_writes_gives_what_a_list_would(
    cluster: KafkaCluster, topic: Topic, seed: int
) -> None:
    chance, clock = random.Random(seed), Clock()
    follower = cluster.follower(1.0, clock)
    tails = [follower(topic.name, p) for p in range(PARTITIONS)]
    at, old = [0] * PARTITIONS, [0] * PARTITIONS  # old: so much has been there for longer than an answer is believed
    for _ in range(250):
        partition = chance.randrange(PARTITIONS)
        written = topic.values[partition]
        match chance.choice(["write", "later", "next", "next", "next", "anywhere", "beyond", "close"]):
            case "write":
                topic.write(partition, chance.randrange(1, 30), size=chance.choice([10, 5_000]))
                continue
            case "later":
                clock.now_s += 1.5
                old = [len(values) for values in topic.values]
                continue
            case "beyond":
                with pytest.raises(LogBroken, match="beyond the end"):
                    tails[partition].read(len(written) + 1 + chance.randrange(3), 5)
                continue
            case "close":
                if not chance.randrange(4):
                    follower.close()
                continue
            case "anywhere":
                at[partition] = chance.randint(0, len(written))
        limit = chance.choice([1, 5, 100])
        page = tails[partition].read(at[partition], limit)
        assert [r.offset for r in page] == list(range(at[partition], at[partition] + len(page)))
        assert [r.value for r in page] == written[at[partition] : at[partition] + len(page)]
        assert len(page) >= min(limit, old[partition] - at[partition])
        at[partition] += len(page)
    clock.now_s += 1.5
    for partition, tail in enumerate(tails):
        assert read_all(tail, 50) == topic.values[partition]


def test_what_is_gone_from_one_partition_is_told_to_its_reader_alone(
    kafka: RunningKafka, cluster: KafkaCluster, topic: Topic
) -> None:
    follower = asking(cluster)
    tails = [follower(topic.name, p) for p in range(PARTITIONS)]
    for partition in range(PARTITIONS):
        topic.write(partition, 5)
        assert len(tails[partition].read(0, 2)) == 2
    follower.close()  # nothing waits here any more
    delete_before(kafka, topic.name, 2, 4)
    for partition in (0, 2, 1, 2, 3, 4, 5):
        if partition == 2:
            with pytest.raises(LogBroken, match=r"/2: offset 2 is gone, the first one held is 4"):
                tails[2].read(2, 10)
        else:
            assert [r.offset for r in tails[partition].read(2, 10)] == [2, 3, 4]
    assert [r.offset for r in tails[2].read(4, 10)] == [4]


def test_a_partition_that_goes_wrong_while_others_are_read_does_not_hurt_them(
    kafka: RunningKafka, cluster: KafkaCluster, topic: Topic
) -> None:
    follower = asking(cluster)
    tails = [follower(topic.name, p) for p in range(PARTITIONS)]
    for partition in range(PARTITIONS):
        topic.write(partition, 2)
        assert len(read_all(tails[partition])) == 2
    topic.write(2, 200, size=AHEAD_BYTES // 25)  # what is behind what may wait is not fetched yet
    topic.write(1, 1)
    assert [r.offset for r in tails[1].read(2, 10)] == [2]
    delete_before(kafka, topic.name, 2, 201)
    for n in range(3, 20):
        topic.write(1, 1)
        assert [r.offset for r in tails[1].read(n, 10)] == [n]
    with pytest.raises(LogBroken, match="is gone, the first one held is 201"):
        read_all(tails[2], offset=2)
    assert [r.offset for r in tails[2].read(201, 10)] == [201]
    assert read_all(tails[1]) == topic.values[1]


def test_a_partition_that_nobody_reads_any_more_takes_no_more_memory(cluster: KafkaCluster, topic: Topic) -> None:
    follower = asking(cluster)
    left, read = follower(topic.name, 0), follower(topic.name, 1)
    topic.write(0, 1)
    assert len(left.read(0, 10)) == 1
    size = AHEAD_BYTES // 20
    most = 0
    for n in range(12):
        topic.write(0, 20, size=size)
        topic.write(1, 1)
        assert [r.offset for r in read.read(n, 10)] == [n]
        most = max(most, waiting(follower, topic.name, 0))
    assert AHEAD_BYTES // 2 < most < 3 * AHEAD_BYTES
    assert read_all(left) == topic.values[0]
    assert waiting(follower, topic.name, 0) == 0


def two_with_more(cluster: KafkaCluster, topic: Topic) -> tuple[KafkaFollower, list[KafkaTail]]:
    """A follower that has read a record of each of two partitions, which have one more each."""
    follower = asking(cluster)
    tails = [follower(topic.name, p) for p in range(2)]
    for partition, tail in enumerate(tails):
        topic.write(partition, 1)
        assert len(tail.read(0, 10)) == 1
    for partition in range(2):
        topic.write(partition, 1)
    return follower, tails


@pytest.mark.parametrize("times", [1, 2])
def test_an_error_that_names_no_partition_is_told_to_the_reader_whose_it_is(
    cluster: KafkaCluster, topic: Topic, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    follower, tails = two_with_more(cluster, topic)
    fail(follower, [errors.CorruptRecordError("bad checksum")] * times, monkeypatch)
    if times == 1:  # of the other one: alone, this one can be read
        assert [r.offset for r in tails[0].read(1, 10)] == [1]
    else:
        with pytest.raises(Permanent, match="bad checksum"):
            tails[0].read(1, 10)
    assert read_all(tails[1]) == topic.values[1]
    assert read_all(tails[0]) == topic.values[0]


def test_records_that_the_brokers_lost_are_told_to_the_reader_that_had_read_them(
    cluster: KafkaCluster, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, tails = two_with_more(cluster, topic)
    fail(follower, [errors.LogTruncationError({TopicPartition(topic.name, 1): None})], monkeypatch)
    assert [r.offset for r in tails[0].read(1, 10)] == [1]
    with pytest.raises(LogBroken, match="lost records that were read already"):
        tails[1].read(1, 10)
    assert [r.offset for r in tails[1].read(1, 10)] == [1]


def test_a_reader_may_wait_for_what_comes(cluster: KafkaCluster, topic: Topic) -> None:
    follower = asking(cluster)
    topic.write(1, 3)
    assert len(follower(topic.name, 1).read(0, 10)) == 3
    tail = follower(topic.name, 0)
    assert tail.read(0, 5, wait_s=0.05) == []
    topic.write(0, 1)
    assert len(tail.read(0, 5, wait_s=60)) == 1
    assert (tail.begin(), tail.end()) == (0, 1)


def test_a_broker_that_comes_back_is_gone_on_with(kafka: RunningKafka, topic: Topic) -> None:
    with KafkaCluster(kafka.url, answer_s=2.0) as cluster:
        follower = asking(cluster)
        tails = [follower(topic.name, p) for p in range(PARTITIONS)]
        for partition in range(PARTITIONS):
            topic.write(partition, 30)
            assert len(tails[partition].read(0, 10)) == 10
        kafka.kill()
        with pytest.raises(Transient, match="does not answer"):
            read_all(tails[0])
        kafka.start()
        for partition, tail in enumerate(tails):
            assert _at_last(tail, 10) == topic.values[partition][10:]


def _at_last(tail: KafkaTail, offset: int) -> list[bytes]:
    for _ in range(60):
        try:
            return read_all(tail, offset=offset)
        except Transient:
            continue
    raise AssertionError("Kafka did not come back")
