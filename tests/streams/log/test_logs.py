"""The contract of a log, on the day files and on Kafka; and what only one of them can say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from contracts.batch import Batch, decode_batch
from contracts.errors import ConfigurationError, LogBroken, Transient
from contracts.events import DeviceReported
from streams.kafka import KafkaCluster, parse_kafka_url
from streams.log.kafka.kafka_log import KafkaLogReader, KafkaLogWriter
from streams.log.port import LogReader, LogWriter
from streams.log.sqlite.day_log import DayLog
from streams.topics import TopicSpec
from tests.support.kafka import RunningKafka, make_topics


class Opened(Protocol):
    """A log that is new at first, opened again and again."""

    def __call__(self) -> tuple[LogWriter, LogReader]: ...


@pytest.fixture(params=["day log", pytest.param("kafka", marks=[pytest.mark.service, pytest.mark.patient])])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Partition 0 of a new log."""
    with ExitStack() as stack:
        if request.param == "kafka":
            broker: RunningKafka = request.getfixturevalue("kafka")
            names = make_topics(broker.url)

            def on_kafka() -> tuple[LogWriter, LogReader]:
                cluster = stack.enter_context(KafkaCluster(broker.url))
                return KafkaLogWriter(cluster, names.log, [0]), KafkaLogReader(cluster, names.log, 0)

            yield on_kafka
        else:

            def in_files() -> tuple[LogWriter, LogReader]:
                log = DayLog(tmp_path)
                stack.callback(log.close)
                return log, log

            yield in_files


def batch(watermark_ms: int, *ids: str) -> Batch:
    """A record of partition 0."""
    events = tuple(
        DeviceReported(event_id=i, site_id="s1", source_id="d1", place_id="p1", at_ms=watermark_ms) for i in ids
    )
    return Batch(partition=0, watermark_ms=watermark_ms, events=events)


def test_a_new_log_is_empty(opened: Opened) -> None:
    writer, reader = opened()
    assert (reader.begin(), reader.end(), writer.last_watermark_ms()) == (0, 0, 0)
    assert reader.read(0, 10) == []
    assert reader.identity()


def test_what_was_appended_comes_back_in_order_at_contiguous_positions(opened: Opened) -> None:
    writer, reader = opened()
    assert writer.append([batch(1, "a"), batch(2)]) == [0, 1]
    assert writer.append([]) == []
    assert writer.append([batch(3, "b", "c")]) == [2]
    records = reader.read(0, 10)
    assert [r.position for r in records] == [0, 1, 2]
    assert [decode_batch(r.data) for r in records] == [batch(1, "a"), batch(2), batch(3, "b", "c")]
    assert (reader.begin(), reader.end(), writer.last_watermark_ms()) == (0, 3, 3)


def test_reading_starts_anywhere_stops_at_the_limit_and_is_empty_at_the_end(opened: Opened) -> None:
    writer, reader = opened()
    writer.append([batch(n) for n in range(1, 41)])
    assert [r.position for r in reader.read(7, 3)] == [7, 8, 9]
    assert [r.position for r in reader.read(2, 4)] == [2, 3, 4, 5]
    assert [r.position for r in reader.read(38, 100)] == [38, 39]
    assert reader.read(40, 5) == []
    writer.append([batch(41)])
    assert [r.position for r in reader.read(40, 5)] == [40]


def test_a_log_opened_again_is_the_same_log_and_goes_on(opened: Opened) -> None:
    writer, reader = opened()
    writer.append([batch(5, "a"), *(batch(0) for _ in range(40))])
    again, seen = opened()
    assert (seen.identity(), seen.end(), again.last_watermark_ms()) == (reader.identity(), 41, 5)
    assert again.append([batch(6)]) == [41]


def test_a_batch_for_a_partition_of_somebody_else_is_refused_and_nothing_is_kept(opened: Opened) -> None:
    writer, reader = opened()
    with pytest.raises(ConfigurationError, match="partition 3"):
        writer.append([batch(1), Batch(partition=3, watermark_ms=1)])
    assert reader.end() == 0


# --- Kafka alone ------------------------------------------------------------------------------------------------------


@pytest.mark.service
@pytest.mark.patient
def test_a_recreated_topic_is_another_log_and_an_old_position_is_refused(kafka: RunningKafka) -> None:
    names = make_topics(kafka.url)
    with KafkaCluster(kafka.url) as cluster:
        KafkaLogWriter(cluster, names.log, [0]).append([batch(n) for n in range(1, 6)])
        reader = KafkaLogReader(cluster, names.log, 0)
        before = reader.identity()
        assert len(reader.read(0, 10)) == 5
        cluster.delete_topic(names.log)
        cluster.create_topic(TopicSpec(names.log, 1, 1, {}))
        assert reader.identity() != before
        with KafkaCluster(kafka.url) as later, pytest.raises(LogBroken, match="beyond the end, 0"):
            KafkaLogReader(later, names.log, 0).read(5, 10)


@pytest.mark.service
@pytest.mark.patient
def test_each_partition_is_a_log_of_its_own(kafka: RunningKafka) -> None:
    names = make_topics(kafka.url, partitions=3)
    with KafkaCluster(kafka.url) as cluster:
        writer = KafkaLogWriter(cluster, names.log, [0, 2])
        written = [Batch(partition=p, watermark_ms=ms) for p, ms in ((0, 1), (2, 2), (0, 3), (2, 9))]
        assert writer.append(written) == [0, 0, 1, 1]
        assert writer.last_watermark_ms() == 9
        assert KafkaLogWriter(cluster, names.log, [0, 1]).last_watermark_ms() == 3
        tails = cluster.tails()
        ends = [KafkaLogReader(cluster, names.log, p, tails).end() for p in range(3)]
        assert ends == [2, 0, 2]
        assert [r.offset for r in tails(names.log, 2).read(1, 9)] == [1]
        assert [r.offset for r in tails(names.log, 0).read(0, 9)] == [0, 1]


@pytest.mark.service
@pytest.mark.patient
def test_a_reader_waits_at_the_end_for_what_comes(kafka: RunningKafka) -> None:
    names = make_topics(kafka.url)
    with KafkaCluster(kafka.url) as cluster:
        tail = cluster.tail(names.findings, 0)
        assert tail.read(0, 5, wait_s=0.05) == []
        sender = cluster.producer()
        sender.send(names.findings, 0, b"value", b"key")
        (record,) = tail.read(0, 5, wait_s=60)
        assert (record.offset, record.key, record.value) == (0, b"key", b"value")
        sender.flush(30)


@pytest.mark.service
@pytest.mark.patient
def test_a_snapshot_of_eight_mebibytes_passes_and_a_larger_record_is_refused(kafka: RunningKafka) -> None:
    names = make_topics(kafka.url)
    with KafkaCluster(kafka.url) as cluster:
        sender = cluster.producer()
        row = bytes(8 * 1024 * 1024)
        assert sender.send(names.snapshots, 0, row, b"row").wait(60) == 0
        assert cluster.tail(names.snapshots, 0).read(0, 1)[0].value == row
        with pytest.raises(Exception, match="MessageSizeTooLarge") as refused:
            sender.send(names.snapshots, 0, bytes(10 * 1024 * 1024), b"row")
        assert not isinstance(refused.value, Transient)
        assert cluster.tail(names.snapshots, 0).end() == 1


@pytest.mark.service
@pytest.mark.patient
def test_a_missing_topic_is_named_with_the_command_that_makes_it(kafka: RunningKafka) -> None:
    with KafkaCluster(kafka.url) as cluster:
        with pytest.raises(ConfigurationError, match=r"no topic 'nobodys\.log'; `linli topics create`"):
            cluster.partitions("nobodys.log")
        assert cluster.topic_state("nobodys.log") is None
        assert cluster.brokers() == 1


@pytest.mark.parametrize(
    "url",
    ["kafka://", "http://a:1", "kafka://a:x", "kafka://a:1,,b:2", "kafka://a:0", "kafka://u:p@a:1", "kafka://a/t"],
)
def test_a_wrong_url_says_what_was_expected(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected kafka://host:port"):
        parse_kafka_url(url)
