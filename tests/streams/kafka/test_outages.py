"""Kafka away, killed or paused: what was acknowledged stays, what was not is told, and nothing hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from contracts.batch import Batch, decode_batch
from contracts.errors import Transient
from ingest.session.broker import free_port
from streams.kafka import KafkaCluster
from streams.log.kafka import kafka_log
from streams.log.kafka.kafka_log import KafkaLogReader, KafkaLogWriter
from tests.support.kafka import RunningKafka, make_topics

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.patient]


@pytest.fixture
def broker(kafka: RunningKafka) -> Iterator[RunningKafka]:
    """The broker of this run, alive again afterwards."""
    yield kafka
    kafka.revive()


def watermark(ms: int) -> Batch:
    """A record of partition 0 that says the time alone."""
    return Batch(partition=0, watermark_ms=ms)


def append_at_last(writer: KafkaLogWriter, batches: list[Batch]) -> list[int]:
    """As the shard's appender does: the same batches again and again, for two minutes at most."""
    for _ in range(60):
        try:
            return writer.append(batches)
        except Transient:
            continue
    raise AssertionError("Kafka did not come back")


def _read_on(reader: KafkaLogReader) -> None:
    """Read the end until it cannot be read: an answer that was under way may come first."""
    while True:
        assert reader.read(1, 10) == []


def test_nobody_there_is_transient_and_named() -> None:
    port = free_port()
    with KafkaCluster(f"kafka://127.0.0.1:{port}", answer_s=1.0) as cluster:
        with pytest.raises(Transient, match=f"Kafka at 127.0.0.1:{port} does not answer"):
            cluster.partitions("linli.log")
        with pytest.raises(Transient, match=str(port)):
            KafkaLogWriter(cluster, "linli.log", [0]).append([watermark(1)])
        with pytest.raises(Transient, match=str(port)):
            KafkaLogReader(cluster, "linli.log", 0).read(0, 1)
    assert [t.name for t in threading.enumerate() if "kafka" in t.name.lower()] == []


def test_a_killed_broker_keeps_what_it_acknowledged_and_the_log_its_identity(
    broker: RunningKafka,
) -> None:
    names = make_topics(broker.url)
    with KafkaCluster(broker.url) as cluster:
        writer, reader = KafkaLogWriter(cluster, names.log, [0]), KafkaLogReader(cluster, names.log, 0)
        before = reader.identity()
        assert writer.append([watermark(n) for n in range(1, 101)]) == list(range(100))
        broker.kill()
        back = threading.Timer(1.0, broker.start)
        back.start()
        positions = append_at_last(writer, [watermark(101)])
        back.join()
        seen = [decode_batch(r.data).watermark_ms for r in reader.read(0, 200)]
        assert seen == list(range(1, 102))
        assert positions == [100]
        assert (reader.identity(), writer.last_watermark_ms()) == (before, 101)


def test_a_paused_broker_is_waited_for_without_duplicates(
    broker: RunningKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_log, "APPEND_S", 0.2)
    names = make_topics(broker.url)
    with KafkaCluster(broker.url) as cluster:
        writer = KafkaLogWriter(cluster, names.log, [0])
        writer.append([watermark(1)])
        broker.pause()
        late = [watermark(2), watermark(3)]
        try:
            for _ in range(3):
                with pytest.raises(Transient, match="does not answer"):
                    writer.append(late)
        finally:
            broker.resume()
        assert append_at_last(writer, late) == [1, 2]
        assert KafkaLogReader(cluster, names.log, 0).end() == 3


def test_a_paused_broker_is_no_end_of_the_log(broker: RunningKafka) -> None:
    names = make_topics(broker.url)
    with KafkaCluster(broker.url, answer_s=2.0) as cluster:
        reader = KafkaLogReader(cluster, names.log, 0)
        KafkaLogWriter(cluster, names.log, [0]).append([watermark(1)])
        assert len(reader.read(0, 10)) == 1
        broker.pause()
        try:
            with pytest.raises(Transient):
                _read_on(reader)
        finally:
            broker.resume()
        assert reader.read(1, 10) == []
