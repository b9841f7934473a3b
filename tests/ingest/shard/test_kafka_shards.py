"""Shards of a district on real brokers: MQTT to Kafka, with either of them, or the shard, failing in the middle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.events import DoorChanged
from contracts.names import partition_of
from ingest.session.broker import free_port
from ingest.session.session import MqttSession, forget_session
from ingest.settings import broker_address
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogWriter
from streams.topics import TopicNames
from tests.ingest.clients import Devices, Listener, wait_until
from tests.ingest.district import (
    PARTITIONS,
    SITES,
    District,
    Life,
    doors_in,
    ended,
    judged,
    ready,
    records,
    said,
    without_doubles,
)
from tests.ingest.shards import running_shard
from tests.support.broker import mosquitto
from tests.support.kafka import RunningKafka, make_topics

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow]


@pytest.fixture
def broker(kafka: RunningKafka) -> Iterator[RunningKafka]:
    """The broker of this run, alive again afterwards."""
    yield kafka
    kafka.revive()


def test_two_shards_share_the_sites_and_nothing_is_there_twice(kafka: RunningKafka, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as mqtt:
        district = District(tmp_path / "d", kafka.url, mqtt.url)
        with district.shard("0/2") as first, district.shard("1/2") as second:
            ready(first)
            ready(second)
            ids = Life(mqtt.port, 3.0).finish()
            assert district.wait_for_doors(ids)
            assert (first.stop(20), second.stop(20)) == (0, 0)
        log = district.log()
    assert doors_in(log) == dict.fromkeys(ids, 1)
    for partition, batches in log.items():
        assert {e.site_id for b in batches for e in b.events} == {
            s for s in SITES if partition_of(s, PARTITIONS) == partition
        }
        marks = [b.watermark_ms for b in batches if b.watermark_ms]
        assert marks == sorted(marks)
        for site_id in SITES:  # in the order they were said
            said_ids = [int(e.event_id[1:]) for b in batches for e in b.events if isinstance(e, DoorChanged)]
            mine = [n for n in said_ids if SITES[n % len(SITES)] == site_id]
            assert mine == sorted(mine)
    assert sum(len(found) for found in judged(log).values()) > 0


def test_killing_and_pausing_kafka_loses_nothing_and_changes_no_finding(broker: RunningKafka, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as mqtt:
        district = District(tmp_path / "d", broker.url, mqtt.url)
        with district.shard() as shard:
            ready(shard)
            life = Life(mqtt.port, 14.0)
            time.sleep(1.5)  # the flow is under way
            broker.kill()
            broker.start()
            time.sleep(1.0)
            broker.pause()
            time.sleep(3.0)
            broker.resume()
            assert district.wait_for_doors(life.finish()), shard.tail()
            assert shard.stop(20) == 0, shard.tail()
        log = district.log()
    assert doors_in(log).keys() == life.ids
    found = judged(log)
    assert found == judged({p: without_doubles(batches) for p, batches in log.items()})
    assert {site_id for site_id, findings in found.items() if findings} == set(SITES)


def test_kill_9_of_a_shard_loses_nothing_and_changes_no_finding(kafka: RunningKafka, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as mqtt:
        district = District(tmp_path / "d", kafka.url, mqtt.url)
        shard = district.start()
        ready(shard)
        life = Life(mqtt.port, 9.0)
        for _ in range(2):
            time.sleep(1.0)
            shard.stop(0)  # no time to end in order
            shard = district.start()
            ready(shard)
        assert district.wait_for_doors(life.finish()), shard.tail()
        assert shard.stop(20) == 0
        log = district.log()
    assert doors_in(log).keys() == life.ids
    assert judged(log) == judged({p: without_doubles(batches) for p, batches in log.items()})


def test_what_was_appended_and_never_acknowledged_comes_again_and_is_judged_once(
    kafka: RunningKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = make_topics(kafka.url, partitions=PARTITIONS)
    district = District(tmp_path / "d", kafka.url, "", names)
    with mosquitto(tmp_path / "m") as mqtt, KafkaCluster(kafka.url) as cluster:
        writer = KafkaLogWriter(cluster, names.log, range(PARTITIONS))
        with monkeypatch.context() as mute:
            mute.setattr(MqttSession, "ack", lambda *_: None)  # as if it died after each append
            with running_shard(mqtt.url, writer, tmp_path / "s", records(), partitions=PARTITIONS):
                ids = Life(mqtt.port, 1.0).finish()
                assert district.wait_for_doors(ids)
        with running_shard(mqtt.url, writer, tmp_path / "s", partitions=PARTITIONS):
            again = Life(mqtt.port, 0.1, pause_s=0.02).finish()
            assert district.wait_for_doors(ids | again)
    log = district.log()
    twice = {event_id for event_id, count in doors_in(log).items() if count >= 2}
    assert twice == ids
    assert judged(log) == judged({p: without_doubles(batches) for p, batches in log.items()})


def test_a_second_owner_of_a_session_ends_the_first_which_says_why(kafka: RunningKafka, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as mqtt:
        district = District(tmp_path / "d", kafka.url, mqtt.url)
        with district.shard("1/2", "first") as first:
            ready(first)
            with district.shard("1/2", "second") as second:
                ready(second)
                assert ended(first) == 1
                assert second.running()
                assert "linli: another process" in first.tail()
                assert "linli-ingest-1-of-2" in first.tail()


def test_a_shard_waits_for_whoever_is_away_at_its_start_and_says_for_whom(broker: RunningKafka, tmp_path: Path) -> None:
    mqtt_port = free_port()
    district = District(tmp_path / "d", broker.url, f"mqtt://127.0.0.1:{mqtt_port}")
    broker.stop()
    with district.shard() as shard:
        said(shard, f"Kafka at 127.0.0.1:{broker.port} does not answer")
        broker.start()
        said(shard, f"127.0.0.1:{mqtt_port}")
        with mosquitto(tmp_path / "m", mqtt_port):
            ready(shard)
            assert shard.stop(20) == 0, shard.tail()


def test_a_shard_whose_credentials_are_wrong_ends_as_a_configuration_error(kafka: RunningKafka, tmp_path: Path) -> None:
    def closed(text: str) -> str:
        return text.replace("allow_anonymous true", "allow_anonymous false")

    with mosquitto(tmp_path / "m", change=closed) as mqtt:
        with District(tmp_path / "d", kafka.url, mqtt.url).shard() as shard:
            assert ended(shard) == 2
        assert "linli: configuration: the broker at 127.0.0.1" in shard.tail()
        assert "refuses us: Not authorized" in shard.tail()


def test_a_shard_without_its_topics_or_with_another_number_names_the_remedy(
    kafka: RunningKafka, tmp_path: Path
) -> None:
    with District(tmp_path / "a", kafka.url, "mqtt://127.0.0.1:1", TopicNames("nobodys.")).shard() as shard:
        assert ended(shard) == 2
        assert "`linli topics create` makes it" in shard.tail()
    with District(tmp_path / "b", kafka.url, "mqtt://127.0.0.1:1").shard(LINLI_KAFKA_PARTITIONS="5") as shard:
        assert ended(shard) == 2
        assert "has 4 partitions, kafka.partitions is 5" in shard.tail()


def test_refused_input_is_sealed_on_the_topic_of_dead_letters(kafka: RunningKafka, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as mqtt:
        district = District(tmp_path / "d", kafka.url, mqtt.url)
        with district.shard() as shard, Devices(mqtt.port) as devices:
            ready(shard)
            devices.send("linli/v1/s1/gate/g1/evt", b'{"kind":"door_changed","name":"Zhang San"')
            devices.confirmed()
            with KafkaCluster(kafka.url) as cluster:
                (record,) = cluster.tail(district.names.dead, 0).read(0, 5, wait_s=30)
            assert shard.stop(20) == 0
    assert record.key == b"s1/g1"
    assert record.value is not None
    assert b'"reason":"not_json"' in record.value
    assert b"Zhang" not in record.value
    assert b"evt" not in record.value


def test_a_forgotten_session_holds_nothing_any_more(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as mqtt, Devices(mqtt.port) as devices:
        Listener(mqtt.port, "linli/v1/s1/#", "linli-ingest-1-of-2", clean=False).close()
        devices.send("linli/v1/s1/gate/g1/evt", b"for the old one")
        devices.confirmed()
        forget_session(broker_address(mqtt.url), "linli-ingest-1-of-2")
        back = Listener(mqtt.port, "linli/v1/s9/#", "linli-ingest-1-of-2", clean=False)
        devices.send("linli/v1/s9/gate/g1/evt", b"for the new one")
        assert wait_until(lambda: bool(back.heard))
        back.close()
    assert [payload for _, payload in back.heard] == [b"for the new one"]
